"""services.xml, ext/siftline.toml, query profiles, and reading a package whole."""

from pathlib import Path

import pytest

from siftline.errors import PackageError, UsageError
from siftline.schema.package import Component, ModelReference, Package, Settings, SparseQuery
from siftline.schema.query_profiles import format_query_profile, parse_query_profile
from siftline.schema.read import read_package
from siftline.schema.services import parse_services
from siftline.schema.settings import format_settings, parse_settings

SKELETON = """<?xml version="1.0" encoding="utf-8" ?>
<services version="1.0" xmlns:deploy="vespa" minimum-required-vespa-version="8.1">
  <admin version="2.0"><adminserver hostalias="h1"/></admin>
  <preprocess:properties xmlns:preprocess="p"><tokens>128</tokens></preprocess:properties>
  <container id="api" version="1.0">
    <search><chain id="default" inherits="vespa"/></search>
    <document-api/> <document-processing/> <model-evaluation/>
    <http><server id="default" port="8080"/></http>
    <component id="e5" type="hugging-face-embedder">
      <transformer-model path="models/m.onnx" url="https://x/m.onnx" model-id="e5"/>
      <tokenizer-model path="models/tokenizer.json"/>
      <max-tokens>${tokens}</max-tokens>
      <transformer-token-type-ids/>
      <prepend><query>query: &amp;</query></prepend>
      <batching max-size="8" max-delay="10ms"/>
      <concurrency type="absolute">2</concurrency>
    </component>
    <component id="dev" type="splade-embedder" deploy:environment="dev"/>
    <nodes><jvm options="-Xmx1g"/><node hostalias="h1"/></nodes>
  </container>
  <content id="docs" version="1.0">
    <min-redundancy>1</min-redundancy>
    <documents>
      <document type="doc" mode="index" global="true"/>
      <document-processing cluster="api"/>
    </documents>
    <nodes><node hostalias="h1" distribution-key="0"/></nodes>
    <engine><proton><tuning><searchnode><requestthreads>
      <search>64</search><persearch>4</persearch>
    </requestthreads></searchnode></tuning></proton></engine>
  </content>
</services>
"""


def test_skeleton() -> None:
    services = parse_services(SKELETON)
    assert services.content_id == "docs" and services.documents == ("doc",)
    assert services.threads_per_search == 4 and services.model_evaluation
    assert services.components == {
        "e5": Component(
            "e5",
            "hugging-face-embedder",
            {
                "transformer-model": ModelReference("models/m.onnx", "https://x/m.onnx", "e5"),
                "tokenizer-model": ModelReference("models/tokenizer.json"),
            },
            {
                "max-tokens": "128",
                "transformer-token-type-ids": "",
                "prepend/query": "query: &",
                "batching/max-size": "8",
                "batching/max-delay": "10ms",
                "concurrency": "2",
            },
        )
    }
    assert str(services.components["e5"].place) == "services.xml:9:5"


CONTAINER = "<services><container id='c'>\n {} </container></services>"
CONTENT = "<services><content id='c'>\n {} </content></services>"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (CONTAINER.format("<component id='x' class='com.a.B' bundle='b'/>"), "'com.a.B' is a J", 2),
        (CONTAINER.format("<handler id='h'/>"), "names no Python component", 2),
        (
            CONTAINER.format(
                "<search><chain id='a'><searcher id='com.S' bundle='b'/></chain></search>"
            ),
            'Java component.*write it in Python: <searcher id="module.Class"/>',
            2,
        ),
        (CONTAINER.format("<component id='x'/>"), "names no type", 2),
        (CONTAINER.format("<component type='x'/>"), "needs the attribute 'id'", 2),
        (
            CONTAINER.format("<component id='x' type='colbert-embeder'/>"),
            "did you mean 'colbert-embedder'",
            2,
        ),
        (CONTAINER.format("<component id='x' type='openai-embedder'/>"), "a remote embedder", 2),
        (
            CONTAINER.format(
                "<component id='x' type='splade-embedder'><tokenizer-model/></component>"
            ),
            "names no file",
            2,
        ),
        (CONTAINER.format("<serch/>"), "unknown element <serch> in <container>", 2),
        (CONTAINER.format("<search>${x}</search>"), r"property '\$\{x\}' is not defined", 2),
        (CONTAINER.format("<preprocess:include file='x'/>"), "only be read with its package", 2),
        (
            CONTENT.format("<documents><document type='d' mode='streaming'/></documents>"),
            "mode 'streaming' is not supported",
            2,
        ),
        (
            CONTENT.format("<documents garbage-collection='true'></documents>"),
            "garbage collection of documents is not supported",
            2,
        ),
        ("<services><container>\n</services>", "not well-formed XML: mismatched tag", 2),
        ("<other/>", "not the root of services.xml", 1),
        ("", "not well-formed XML", 1),
    ],
)
def test_services_refused_with_their_line(text: str, message: str, line: int) -> None:
    with pytest.raises(PackageError, match=message) as error:
        parse_services(text)
    assert error.value.place and error.value.place.line == line


BOMB = """<!DOCTYPE services [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>
<services>&b;</services>"""
EXTERNAL = '<!DOCTYPE services [<!ENTITY a SYSTEM "file:///etc/passwd">]><services>&a;</services>'


@pytest.mark.parametrize("text", [BOMB, EXTERNAL, "<!DOCTYPE services SYSTEM 'x'><services/>"])
def test_entities_are_refused(text: str) -> None:
    with pytest.raises(PackageError, match="DOCTYPE declaration is refused"):
        parse_services(text)


SETTINGS = """
name = "app"
[schemas.doc]
sparse-index = ["sparse"]
[embedders.splade]
query = "idf"
idf = "corpus"
field = "sparse"
prune-ratio = 0.1
[embedders.colbert]
mask-queries = false
[models]
"models/a b" = "bge-small-en-v1.5"
[runtime]
name = "openvino"
threads = 2
[cache]
query-encodings = "64 MiB"
"""


def test_settings() -> None:
    settings, name = parse_settings(SETTINGS)
    assert name == "app"
    assert settings == Settings(
        frozenset({"doc.sparse"}),
        {"splade": SparseQuery("idf", "corpus", "sparse", 1.0)},
        {"splade": {"prune-ratio": 0.1}, "colbert": {"mask-queries": False}},
        {"models/a b": "bge-small-en-v1.5"},
        {"name": "openvino", "threads": 2},
        64 << 20,
    )
    assert parse_settings(format_settings(settings, "app")) == (settings, "app")
    assert parse_settings("") == (Settings(), None)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("\nschema = 1", "unknown key 'schema'.*'schemas'", 2),
        ("[runtme]\nname = 'auto'", "unknown key 'runtme'.*'runtime'", 1),
        ("[schemas.a]\nsparse_index = []", "did you mean 'sparse-index'", 2),
        ("[schemas.a]\nsparse-index = 'x'", "must be a list", 2),
        ("[embedders.a]\n\nquery = 'idff'", "did you mean 'idf'", 3),
        ("[embedders.a]\nunknown = -1", "must be a number from 0", 2),
        ("[runtime]\nname = 'onnx'", "unknown runtime 'onnx'", 2),
        ("[runtime]\nthreads = 'two'", "threads is 'two'", 2),
        ("[runtime]\nthreads = 0", "at least 1", 2),
        ("[cache]\nqueries = 0", "unknown key 'queries' in cache", 2),
        ("[cache]\nquery-encodings = 1000", "1000, expected a size like", 2),
        ("[cache]\nquery-encodings = '64 mb'", "'64 mb', expected a size like", 2),
        ("[cache]\nquery-encodings = -1", "expected a size like", 2),
        ("cache = 0", "must be a table", 1),
        ("[models]\n'a/b' = 3", "needs a catalogue name", 2),
        ("[models]\nx = [", "Invalid", 2),
        ("models = 3", "must be a table", 1),
    ],
)
def test_settings_refused_with_their_line(text: str, message: str, line: int) -> None:
    with pytest.raises(PackageError, match=message) as error:
        parse_settings(text)
    assert error.value.place and error.value.place.line == line
    assert error.value.place.file == "ext/siftline.toml"


def profiles(*texts: str) -> Package:
    found = [parse_query_profile(text) for text in texts]
    return Package("p", {}, query_profiles={profile.name: profile for profile in found})


def test_query_profiles_inherit() -> None:
    package = profiles(
        '<query-profile id="default"><field name="hits" overridable="false">20</field>'
        '<field name="yql">select * from sources * where a &lt; 1</field></query-profile>',
        '<query-profile id="b" inherits="default"><field name="hits">5</field></query-profile>',
        '<query-profile id="c" inherits="b default"/>',
    )
    resolved = package.query_profile("c")
    assert dict(resolved.fields) == {
        "hits": "5",
        "yql": "select * from sources * where a < 1",
    }
    assert resolved.fixed == {"hits"}
    for profile in package.query_profiles.values():
        assert parse_query_profile(format_query_profile(profile)) == profile
    with pytest.raises(UsageError, match="did you mean 'default'"):
        package.query_profile("defalt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<query-profile/>", "needs the attribute 'id'"),
        ('<query-profile id="a" type="t"/>', "type 't' is not supported"),
        ('<query-profile id="a"><dimensions>x</dimensions></query-profile>', "variants"),
        ('<query-profile id="a"><field name="x"><ref>b</ref></field></query-profile>', "refers"),
        ('<query-profile id="a"><feld name="x"/></query-profile>', "did you mean 'field'"),
        ("<query-profile-type/>", "types are not supported"),
    ],
)
def test_query_profiles_refused(text: str, message: str) -> None:
    with pytest.raises(PackageError, match=message):
        parse_query_profile(text)


def test_query_profile_cycle() -> None:
    package = profiles(
        '<query-profile id="a" inherits="b"/>', '<query-profile id="b" inherits="a"/>'
    )
    with pytest.raises(PackageError, match="circle: a → b → a"):
        package.query_profile("a")


SCHEMA = """schema doc {
  document doc {
    field title type string { indexing: index | summary }
    field sparse type tensor<float>(token{}) { indexing: input title | embed splade | attribute }
  }
}
"""
SERVICES = """<services version="1.0"><container id="c" version="1.0">
<component id="splade" type="splade-embedder">
<transformer-model path="m.onnx"/><tokenizer-model path="t.json"/></component>
</container><content id="docs" version="1.0">
<documents><document type="doc" mode="index"/></documents></content></services>
"""
TOML = "[schemas.doc]\nsparse-index = ['sparse']\n[embedders.splade]\nfield = 'sparse'\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    write(root, "services.xml", SERVICES)
    write(root, "schemas/doc.sd", SCHEMA)
    write(root, "ext/siftline.toml", TOML)
    return root


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


def test_whole_package(folder: Path) -> None:
    write(folder, "schemas/doc/more.profile", "rank-profile p { first-phase { expression: 1 } }")
    write(folder, "search/query-profiles/default.xml", '<query-profile id="default"/>')
    package = read_package(folder)
    assert (package.name, package.folder) == ("app", folder)
    assert list(package.schema().rank_profiles) == ["p"]
    assert package.settings.sparse_index == {"doc.sparse"}
    assert package.schema("doc").fields["title"].place
    assert str(package.schema("doc").fields["title"].place).startswith("schemas/doc.sd:3:5")
    assert list(package.query_profiles) == ["default"]


def test_query_profile_types_may_only_be_empty(folder: Path) -> None:
    path = "search/query-profiles/types/root.xml"
    write(folder, path, '<query-profile-type id="root" inherits="native"/>')
    read_package(folder)
    write(
        folder, path, '<query-profile-type id="r"><field name="x" type="y"/></query-profile-type>'
    )
    with pytest.raises(PackageError, match="'x' of a query profile type is not supported"):
        read_package(folder)


def test_legacy_folder_and_included_services(folder: Path) -> None:
    (folder / "schemas").rename(folder / "searchdefinitions")
    text = SERVICES.replace("<container", "<preprocess:include file='more.xml'/><container", 1)
    write(folder, "services.xml", text.replace("</container>", "</container>", 1))
    write(folder, "more.xml", "<services><container id='other'><search/></container></services>")
    assert list(read_package(folder).schemas) == ["doc"]


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("schemas/doc.sd", "embed splade", "embed splad", "did you mean 'splade'"),
        ("schemas/doc.sd", "schema doc", "schema dok", "must have the name of its schema"),
        ("schemas/doc.sd", "tensor<float>(token{})", "tensor<float>(token[2])", "it needs a tens"),
        ("schemas/doc.sd", "embed splade | attribute", "embed splade | summary", "not an attribu"),
        ("services.xml", 'type="doc"', 'type="dok"', "has no schema; did you mean 'doc'"),
        ("ext/siftline.toml", "['sparse']", "['spars']", "did you mean 'doc.sparse'"),
        ("ext/siftline.toml", "embedders.splade", "embedders.x", "settings for embedder 'x'"),
        ("ext/siftline.toml", "field = 'sparse'", "field = 'x'", "counts sparse-index field 'x'"),
    ],
)
def test_names_that_lead_nowhere(folder: Path, path: str, old: str, new: str, message: str) -> None:
    text = (folder / path).read_text(encoding="utf-8")
    assert old in text
    write(folder, path, text.replace(old, new))
    with pytest.raises(PackageError, match=message.replace("(", r"\(")) as error:
        read_package(folder)
    assert error.value.place and error.value.place.file == path


def test_broken_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="is not a folder"):
        read_package(tmp_path / "nowhere")
    with pytest.raises(PackageError, match="no services.xml"):
        read_package(tmp_path)
    (folder / "schemas/doc.sd").rename(folder / "schemas/other.sd")
    with pytest.raises(PackageError, match="must stand in schemas/doc.sd"):
        read_package(folder)
    (folder / "schemas/other.sd").write_bytes(b"schema \xff")
    with pytest.raises(PackageError, match="is not UTF-8"):
        read_package(folder)
    write(folder, "components/a.jar", "")
    with pytest.raises(PackageError, match="Java bundle"):
        read_package(folder)


def test_files_outside_the_package_are_refused(folder: Path) -> None:
    write(folder, "../secret.json", "{}")
    constant = "constant c { file: ../secret.json  type: tensor(x[1]) }\n}"
    write(folder, "schemas/doc.sd", SCHEMA.rstrip().removesuffix("}") + constant)
    with pytest.raises(PackageError, match="lies outside the package"):
        read_package(folder)


def test_constant_files(folder: Path) -> None:
    constant = "constant c { file: constants/c.json  type: tensor(x[2]) }\n}"
    write(folder, "schemas/doc.sd", SCHEMA.rstrip().removesuffix("}") + constant)
    with pytest.raises(PackageError, match="no file 'constants/c.json'"):
        read_package(folder)
    write(folder, "constants/c.json", '{"values": [1, ]}')
    with pytest.raises(PackageError, match="not JSON") as error:
        read_package(folder)
    assert str(error.value).startswith("constants/c.json:1:")
    write(folder, "constants/c.json", '{"values": [1, 2, 3]}')
    with pytest.raises(PackageError) as error:
        read_package(folder)
    assert error.value.place and error.value.place.file == "constants/c.json"
