"""Code of the user's around the engine: document processors, searchers and request handlers.

Everything a component in `ext/components` needs can be imported from here.
"""

from siftline.encode.embedder import Embedder
from siftline.encode.embedders import Embedders
from siftline.feed.operation import Operation
from siftline.match.inputs import as_tensor
from siftline.match.query import Query
from siftline.process.documents import DocumentProcessor, Progress
from siftline.process.handlers import Handler, Request, Response
from siftline.process.search import Execution, Searcher
from siftline.respond.hits import Hit, Result
from siftline.schema.package import Package
from siftline.stateless.models import ModelsEvaluator
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

__all__ = [
    "DocumentProcessor",
    "Embedder",
    "Embedders",
    "Execution",
    "Handler",
    "Hit",
    "ModelsEvaluator",
    "Operation",
    "Package",
    "Progress",
    "Query",
    "Request",
    "Response",
    "Result",
    "Searcher",
    "Tensor",
    "TensorType",
    "as_tensor",
]
