"""Which distribution gives a module. Called by the rule on imports that are not locked.

Most modules are called as their distribution is; the table has those that are not.
"""

import re

_NAMED_OTHERWISE = {
    "sklearn": "scikit-learn", "skimage": "scikit-image", "cv2": "opencv-python", "PIL": "pillow", "yaml": "pyyaml",
    "bs4": "beautifulsoup4", "dateutil": "python-dateutil", "attr": "attrs", "Crypto": "pycryptodome",
    "git": "gitpython", "serial": "pyserial", "usb": "pyusb", "OpenSSL": "pyopenssl", "jwt": "pyjwt",
    "dotenv": "python-dotenv", "docx": "python-docx", "pptx": "python-pptx", "fitz": "pymupdf",
    "magic": "python-magic", "Levenshtein": "levenshtein", "sksurv": "scikit-survival", "skopt": "scikit-optimize",
    "imblearn": "imbalanced-learn", "umap": "umap-learn", "mpl_toolkits": "matplotlib", "pylab": "matplotlib",
    "IPython": "ipython", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient", "ruamel": "ruamel-yaml",
    "community": "python-louvain", "nmslib": "nmslib", "pkg_resources": "setuptools", "lightning": "lightning",
    "faiss": "faiss-cpu", "wx": "wxpython", "gi": "pygobject", "igraph": "igraph",
    "tensorflow_hub": "tensorflow-hub", "sentence_transformers": "sentence-transformers",
    "pandas_datareader": "pandas-datareader", "mlxtend": "mlxtend", "statsmodels": "statsmodels",
    "Bio": "biopython", "rest_framework": "djangorestframework", "flask_sqlalchemy": "flask-sqlalchemy",
    "win32com": "pywin32", "pymc3": "pymc3", "cupy": "cupy-cuda12x", "ot": "pot", "tabnet": "pytorch-tabnet",
    "pywt": "pywavelets", "osgeo": "gdal", "shapefile": "pyshp", "zmq": "pyzmq", "markdown": "markdown",
    "nacl": "pynacl", "xlsxwriter": "xlsxwriter", "ydata_profiling": "ydata-profiling",
    "pandas_profiling": "pandas-profiling", "kaggle": "kaggle", "snappy": "python-snappy", "lz4": "lz4",
    "socks": "pysocks", "slugify": "python-slugify", "telegram": "python-telegram-bot", "discord": "discord-py",
}  # fmt: skip
# Modules that several distributions give: any of them will do.
_ANY_OF = {
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "psycopg2": ("psycopg2", "psycopg2-binary"),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tensorflow-gpu", "tf-nightly"),
    "lightgbm": ("lightgbm",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "mlflow": ("mlflow", "mlflow-skinny"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "psycopg": ("psycopg", "psycopg-binary"),
    "pyspark": ("pyspark", "pyspark-client", "databricks-connect"),
    "Crypto": ("pycryptodome", "pycrypto"),
    "polars": ("polars", "polars-lts-cpu", "polars-u64-idx"),
}
_NAMESPACES = ("google", "azure", "zope", "mpl_toolkits", "ruamel", "sphinxcontrib", "jaraco", "backports")


def distribution_of(module: str, locked: frozenset[str]) -> str | None:
    """The distribution that a module needs and the lock has not; None when the lock has it."""
    top = module.partition(".")[0]
    if top in _ANY_OF:
        return None if any(name in locked for name in _ANY_OF[top]) else _ANY_OF[top][0]
    if top in _NAMESPACES and top not in _NAMED_OTHERWISE:
        words = [normal(part) for part in module.split(".")[:3]]
        near = any(name.startswith(f"{words[0]}-") and all(w in name for w in words[1:2]) for name in locked)
        return None if near else "-".join(words[:3])
    guess = normal(_NAMED_OTHERWISE.get(top, top))
    if guess in locked or normal(top) in locked:
        return None
    # python-x, py-x, x-python are common ways to name what gives x.
    for form in (f"python-{guess}", f"py-{guess}", f"py{guess}", f"{guess}-python", f"{guess}-py"):
        if form in locked:
            return None
    return guess


def normal(name: str) -> str:
    """A distribution's name as the standard has it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
