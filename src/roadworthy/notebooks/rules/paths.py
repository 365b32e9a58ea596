"""Rules about where data comes from: absolute and home paths, the network, files of no data set, changed folders."""

import ast
import fnmatch
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Named, Subject, argument, has_keyword, literal

_ROOTS = (
    "home|Users|root|mnt|media|data\\d*|content|kaggle|dbfs|opt|srv|var|scratch|work|storage|gpfs|lustre|nfs|Volumes|"
    "export|project|projects|workspace|datasets?|lakehouse|FileStore|s3|gdrive|mount|disk\\d*|hdd|ssd|share|net"
)
_ABSOLUTE = re.compile(
    rf"(?:file://)?(?:/(?:{_ROOTS})/[^\s:*?\"<>|]+|~[\w-]*/[^\s:*?\"<>|]+|"
    r"[A-Za-z]:[\\/](?![\\/])[^\s*?\"<>|]+|\\\\[\w.$-]+\\[^\s]+"
    r"|/(?:[\w.@ -]+/)+[\w.@ -]+\."
    r"(?:csv|tsv|txt|json|parquet|pkl|pickle|xlsx?|npy|npz|h5|hdf5|feather|joblib|pt|pth|onnx|zip|gz|"
    r"db|sqlite|nc|png|jpe?g|mat|sav|dta|yaml|yml|py|ipynb))"
)
_MAY_BE = re.compile(r"[/~\\]")
_URL = re.compile(r"(?:https?|ftp|s3a?|gs|abfss?|wasbs?|hdfs|az|gcs)://[^\s'\"]+")

# Calls that read data, by the end of their name: which argument names the file.
_READERS = {
    "read_csv": "filepath_or_buffer", "read_table": "filepath_or_buffer", "read_excel": "io", "read_parquet": "path",
    "read_json": "path_or_buf", "read_feather": "path", "read_pickle": "filepath_or_buffer", "read_hdf": "path_or_buf",
    "read_stata": "filepath_or_buffer", "read_sas": "filepath_or_buffer", "read_spss": "path", "read_orc": "path",
    "read_fwf": "filepath_or_buffer", "read_html": "io", "read_xml": "path_or_buffer", "read_file": "filename",
    "scan_csv": "source", "scan_parquet": "source", "read_ipc": "source", "read_ndjson": "source",
    "open_dataset": "filename_or_obj", "open_mfdataset": "paths", "load_dataset": "", "open_zarr": "store",
    "loadtxt": "fname", "genfromtxt": "fname", "fromfile": "file", "imread": "fname", "loadmat": "file_name",
    "read_wav": "", "load_workbook": "filename", "load": "file", "open": "file", "read_text": "", "read_bytes": "",
}  # fmt: skip
_LIBRARIES = (
    "pandas", "polars", "numpy", "xarray", "geopandas", "dask", "modin", "joblib", "pyarrow", "scipy", "imageio", "cv2",
    "PIL", "matplotlib", "skimage", "openpyxl", "torch", "pickle", "json", "duckdb", "librosa", "soundfile", "rasterio",
    "cudf", "vaex", "fastparquet", "h5py", "netCDF4", "astropy", "spark",
)  # fmt: skip
_WRITE = re.compile(r"[wax+]")


class AbsolutePath:
    """A path begins at the root or in somebody's home.

    It exists on one machine. On every other one, in CI and in a container, the cell fails, and the name of the author's
    account is told to everybody who reads it.

    Fix: name paths from the project's folder, or make the file a data set of the project.
    """

    code, name = "RWN301", "absolute-path"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.flow.cells:
            for each in cell.texts:
                text = each.value
                if len(text) <= 300 and _MAY_BE.search(text):
                    found = _ABSOLUTE.fullmatch(text.strip())
                    if found and not _is_no_path(text):
                        yield self._finding(subject, cell.index, each.node, text.strip())
            for magic in cell.magics:
                if magic.kind != "help":
                    for word in magic.text.split():
                        if _ABSOLUTE.fullmatch(word.strip("'\"")):
                            yield self._finding(subject, cell.index, magic.line, word.strip("'\""))
                            break

    def _finding(self, subject: Subject, index: int, node: ast.AST | int, path: str) -> Finding:
        kind = (
            "in a home folder"
            if re.match(r"(file://)?(/home/|/Users/|/root/|~|[A-Za-z]:\\Users)", path)
            else "absolute"
        )
        return subject.finding(
            self,
            index,
            node,
            f"the path {path[:80]!r} is {kind}: it exists on one machine",
            fix="name it from the project's folder, or make it a data set",
        )


class ChangesFolder:
    """A cell changes the working folder, or where modules are found.

    Relative paths below mean another place the second time, and the imports work on the author's machine only.

    Fix: name paths from the project's folder; make the modules a package, or keep them beside the notebook.
    """

    code, name = "RWN304", "changes-folder"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for call in subject.calls:
            if call.name in {"os.chdir", "sys.path.append", "sys.path.insert", "sys.path.extend", "site.addsitedir"}:
                what = "where modules are found" if "path" in call.name or "site" in call.name else "the working folder"
                yield subject.finding(
                    self,
                    call.cell.index,
                    call.node,
                    f"`{call.name}` changes {what}",
                    fix="make the modules a package" if "module" in what else "name paths from the project's folder",
                )
        for cell in subject.flow.cells:
            for magic in cell.magics:
                if magic.kind == "line" and magic.name == "cd":
                    yield subject.finding(
                        self,
                        cell.index,
                        magic.line,
                        "`%cd` changes the working folder",
                        fix="name paths from the project's folder",
                    )


class NetworkRead:
    """A cell reads from the network.

    The answer may be another tomorrow, or none: the run cannot be reproduced, and a step that is retried waits for a
    server of somebody else.

    Fix: fetch it once and make it a data set of the project (`rw data add`); its snapshot never changes.
    """

    code, name = "RWN302", "network-read"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        urls = _names_of_urls(subject)
        for call in subject.calls:
            told = _reads_network(call, urls)
            if told:
                yield self._finding(subject, call.cell.index, call.node, told)
        for cell in subject.flow.cells:
            for magic in cell.magics:
                if magic.kind == "shell" and re.match(
                    r"(sudo )?(wget|curl|gdown|kaggle|aws s3|gsutil|git clone)\b", magic.text
                ):
                    yield self._finding(subject, cell.index, magic.line, f"`{magic.text.split()[0]}`")

    def _finding(self, subject: Subject, index: int, node: ast.AST | int, what: str) -> Finding:
        return subject.finding(
            self, index, node, f"{what} reads from the network", fix="fetch it once and make it a data set: rw data add"
        )


class NoDataSet:
    """A cell reads a file that is no data set of the project.

    Nothing says which version of the file was read, or holds it against a contract; when the file changes, results
    change and nobody knows why.

    Fix: add it to `roadworthy.toml` as `[data.NAME]`, and read the data set.
    """

    code, name = "RWN303", "no-data-set"
    severity: Severity = "warn"

    def find(self, subject: Subject) -> Iterator[Finding]:
        written = _written(subject)
        for call in subject.calls:
            path = file_read(call)
            if path is None or path in written or _URL.match(path) or _ABSOLUTE.fullmatch(path):
                continue
            if subject.around.root is None:
                message = f"{path[:80]!r} is read from where the notebook lies, and no data set names it"
            elif _is_data(subject, path):
                continue
            else:
                message = f"{path[:80]!r} is no data set of the project"
            yield subject.finding(
                self, call.cell.index, call.node, message, fix="add it as [data.NAME] to roadworthy.toml"
            )


def file_read(call: Named) -> str | None:
    """The path that a call reads from, when it is written out; None when it reads none."""
    method = call.method
    if method not in _READERS:
        return None
    head = call.name.partition(".")[0]
    if method == "open":
        if call.name not in {"open", "io.open", "gzip.open", "bz2.open", "rasterio.open", "PIL.Image.open"}:
            return None
        mode = literal(argument(call.node, 1, "mode"))
        if call.name != "PIL.Image.open" and mode is not None and _WRITE.search(mode):
            return None
    elif head not in _LIBRARIES and not call.name.startswith("spark."):
        return None
    if (
        method == "load_dataset"
        or ".tutorial." in call.name
        or (method == "load" and head in {"json", "pickle", "torch.hub"})
    ):
        return None
    return _path(argument(call.node, 0, _READERS[method]))


def _path(node: ast.expr | None) -> str | None:
    """A path that is written out, also inside `Path(…)` and `open(…)`."""
    if isinstance(node, ast.Call) and node.args:
        if isinstance(node.func, ast.Name) and node.func.id in {"Path", "PurePath", "open"}:
            return _path(node.args[0])
        return None
    text = literal(node)
    if text is None or not text.strip() or "\n" in text or "<" in text or len(text) > 300:
        return None
    return text


def _reads_network(call: Named, urls: dict[str, str]) -> str:
    """What a call reads from the network, in words; empty when it does not."""
    name, method = call.name, call.method
    if name in _NETWORK_CALLS or (name.startswith(_NETWORK_PREFIXES) and method in _NETWORK_METHODS):
        return f"`{name}`"
    if name.startswith("sklearn.datasets.fetch_"):
        return f"`{method}`"
    if method in _DOWNLOADS and name.startswith(_DOWNLOADING):
        return f"`{name}`"
    if method == "from_pretrained":
        first = argument(call.node, 0, "pretrained_model_name_or_path")
        text = literal(first)
        return f"`{name.rpartition('.')[0]}.from_pretrained`" if text and not text.startswith((".", "/")) else ""
    if has_keyword(call.node, "download") and any(
        k.arg == "download" and isinstance(k.value, ast.Constant) and k.value.value is True for k in call.node.keywords
    ):
        return f"`{name}` with `download=True`"
    if method in _READERS or method in {"urlretrieve", "urlopen"}:
        first = argument(call.node, 0, _READERS.get(method, "url"))
        text = literal(first) or (urls.get(first.id, "") if isinstance(first, ast.Name) else "")
        if not text and isinstance(first, ast.BinOp | ast.JoinedStr):
            text = _beginning(first, urls)
        if text and _URL.match(text) and not call.name.startswith(("webbrowser", "?")):
            return f"`{name}`"
    return ""


def _beginning(node: ast.expr, urls: dict[str, str]) -> str:
    """The first text of a concatenation or an f-string."""
    while isinstance(node, ast.BinOp):
        node = node.left
    if isinstance(node, ast.JoinedStr) and node.values:
        first = node.values[0]
        node = first.value if isinstance(first, ast.FormattedValue) else first
    if isinstance(node, ast.Name):
        return urls.get(node.id, "")
    return literal(node) or ""


def _names_of_urls(subject: Subject) -> dict[str, str]:
    """Names whose value is an address, so that `url = "https://…"` two cells above is seen."""
    found: dict[str, str] = {}
    for cell in subject.flow.cells:
        if cell.tree is None or not any("://" in text.value for text in cell.texts):
            continue
        for statement in cell.tree.body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target = statement.targets[0]
                text = _beginning(statement.value, found)
                if isinstance(target, ast.Name) and text and _URL.match(text):
                    found[target.id] = text
    return found


def _written(subject: Subject) -> set[str]:
    """Files that the notebook itself writes."""
    found: set[str] = set()
    for call in subject.calls:
        if call.method.startswith(("to_", "save", "dump", "write", "urlretrieve", "imwrite", "imsave")) or (
            call.name in {"open", "gzip.open"} and _WRITE.search(literal(argument(call.node, 1, "mode")) or "")
        ):
            found.update(
                node.value
                for part in (*call.node.args, *(k.value for k in call.node.keywords))
                for node in ast.walk(part)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            )
    for cell in subject.notebook.cells:
        if cell.language == "file":
            found.add(cell.source.partition("\n")[0].split()[-1])
    return found


def _is_data(subject: Subject, path: str) -> bool:
    """Whether a data set of the project names the file, from the project's folder or the notebook's."""
    root = subject.around.root
    forms = {PurePosixPath(path).as_posix()}
    if root is not None:
        try:
            beside = (subject.notebook.path.parent / path).resolve().relative_to(root.resolve())
            forms.add(beside.as_posix())
        except (ValueError, OSError):
            pass
    for known in subject.around.data:
        for form in forms:
            if form == known or fnmatch.fnmatchcase(form, known) or form.startswith(known.rstrip("/") + "/"):
                return True
    return False


def _is_no_path(text: str) -> bool:
    """What looks like an absolute path and is none: a route, a pattern, a unit."""
    return text.startswith("//") or text.endswith("/*") or "{" in text.partition("/")[0]


_NETWORK_CALLS = frozenset(
    {
        "urllib.request.urlopen", "urllib.request.urlretrieve", "urllib.urlopen", "urllib.urlretrieve", "wget.download",
        "seaborn.load_dataset", "statsmodels.datasets.get_rdataset", "statsmodels.api.datasets.get_rdataset",
        "yfinance.download", "datasets.load_dataset", "nltk.download", "gdown.download", "kagglehub.dataset_download",
        "kagglehub.model_download", "pooch.retrieve", "huggingface_hub.hf_hub_download",
        "huggingface_hub.snapshot_download",
        "xarray.tutorial.open_dataset", "xarray.tutorial.load_dataset", "tensorflow.keras.utils.get_file",
        "keras.utils.get_file", "torch.hub.load", "tensorflow_datasets.load", "openml.datasets.get_dataset",
        "pandas_datareader.data.DataReader", "pandas_datareader.DataReader", "pandas_datareader.get_data_yahoo",
        "pandas_datareader.get_data_fred", "wbdata.get_dataframe", "spacy.cli.download", "gensim.downloader.load",
    }
)  # fmt: skip
_NETWORK_PREFIXES = ("requests.", "httpx.")
_NETWORK_METHODS = frozenset({"get", "post", "request", "put", "head"})
_DOWNLOADING = (
    "tensorflow.keras.datasets.",
    "keras.datasets.",
    "tsfresh.examples.",
    "nilearn.datasets.",
    "sktime.datasets.",
)
_DOWNLOADS = frozenset({"load_data", "download_robot_execution_failures", "download_har_dataset", "fetch_haxby"})

RULES = (AbsolutePath(), NetworkRead(), NoDataSet(), ChangesFolder())
