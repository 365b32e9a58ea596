"""Trust: which types a model may hold."""

import functools
import pathlib

import msgspec
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import FunctionTransformer

from roadworthy.data.formats import registry
from roadworthy.data.formats import skops as format_
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.step import Value
from roadworthy.store.blobs import Blobs, digest_of


class Doubler(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.asarray(X) * 2


NAME = f"{Doubler.__module__}.Doubler"


def test_a_type_of_ones_own_must_be_named_and_the_message_says_how(tmp_path: pathlib.Path) -> None:
    blobs = Blobs(tmp_path)
    with pytest.raises(Fault) as caught:
        registry.save(blobs, Doubler().fit([[1]]))
    assert caught.value.code is Code.REFUSED
    assert NAME in caught.value.fix
    value = registry.save(blobs, Doubler().fit([[1]]), trusted=(NAME,))
    # The record remembers who was trusted; bytes that ask for more are still refused.
    assert registry.load(blobs, value).transform([[2]]).tolist() == [[4]]
    with pytest.raises(Fault, match="nobody has trusted"):
        registry.load(blobs, msgspec.structs.replace(value, meta={}))


@pytest.mark.parametrize(
    "name",
    [
        "builtins.eval",
        "os.system",
        "numpy.memmap",
        "pandas.io.pytables.HDFStore",
        "pandas.core.computation.eval.eval",
        "sklearn.datasets._base.load_files",
        "sklearn.utils._testing.TempMemmap",
        "sklearn.externals.array_api_compat.common._helpers.subprocess",
        "sklearn.utils.validation.check_array",
        "scipy.io._mmio.mmread",
        "sklearn.nothing.There",
    ],
)
def test_only_classes_of_the_trusted_packages_are_trusted(name: str) -> None:
    assert not format_._is_trusted_class(name)


def test_a_model_that_calls_a_stranger_is_refused(tmp_path: pathlib.Path) -> None:
    import subprocess

    blobs = Blobs(tmp_path)
    content = skops.io.dumps(FunctionTransformer(subprocess.run))
    digest = blobs.put(content)
    assert digest == digest_of(content)
    with pytest.raises(Fault, match=r"subprocess\.run"):
        registry.load(blobs, Value(format="skops", digest=digest, size=len(content)))
    junk = blobs.put(b"no zip")
    with pytest.raises(Fault, match="not a skops archive"):
        registry.load(blobs, Value(format="skops", digest=junk, size=6))


def test_boosted_trees_with_categories_need_nobody_named(tmp_path: pathlib.Path) -> None:
    blobs = Blobs(tmp_path)
    rows = np.random.default_rng(7).integers(0, 4, (200, 2))
    trees = HistGradientBoostingClassifier(max_iter=3, categorical_features=[0]).fit(rows, rows[:, 0] > 1)
    value = registry.save(blobs, trees)
    assert np.array_equal(registry.load(blobs, value).predict_proba(rows), trees.predict_proba(rows))


def test_a_partial_of_a_stranger_is_refused(tmp_path: pathlib.Path) -> None:
    import subprocess

    with pytest.raises(Fault, match=r"subprocess\.run"):
        registry.save(Blobs(tmp_path), FunctionTransformer(functools.partial(subprocess.run, ["true"])))
