"""What is legal in a Vespa schema but not supported: refused by name, never ignored."""

from __future__ import annotations

#: element key → what to say after "is not supported"
REFUSED: dict[str, str] = {
    "import": ": parent documents cannot be imported; store the value in the document itself",
    "annotation": "",
    "annotationreference": "",
    "match-phase": ": every match is ranked; remove it",
    "diversity": "",
    "mutate": "",
    "significance": ": term significance comes from this index",
    "weakand": "",
    "filter-threshold": "",
    "element-gap": "",
    "rank-type": ": only 'about' is known",
    "gram": "",
    "gram-size": "",
    "prefix": "",
    "substring": ": it needs streaming mode",
    "suffix": ": it needs streaming mode",
    "linguistics": "",
    "arity": ": predicate fields are not supported",
    "lower-bound": ": predicate fields are not supported",
    "upper-bound": ": predicate fields are not supported",
    "dense-posting-list-threshold": ": predicate fields are not supported",
    "summary-to": ": list the field in a document-summary",
    "dynamic": ": summaries hold the whole field",
    "matched-elements-only": ": summaries hold the whole field",
    "select-elements-by": ": summaries hold the whole field",
    "tokens": ": summaries hold the whole field",
    "url": ": put the file into the package",
    "uri": ": put the file into the package",
    "header": "",
    "body": "",
    "compression": "",
    "indexing-rewrite": "",
    "enable-only-bit-vector": ": use 'rank: filter' on the field",
    "use-model": "",
}

#: field type → what to say after "is not supported"
REFUSED_TYPES: dict[str, str] = {
    "predicate": "",
    "reference": ": parent documents cannot be referred to",
    "annotationreference": "",
    "position": ": there is no geographic search",
    "raw": ": store base64 in a string",
    "uri": ": use string",
    "float16": ": use float, or a tensor<bfloat16>",
}
