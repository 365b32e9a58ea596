"""Every code has an exit code and a status, and a fault survives the way between processes."""

import pickle

from roadworthy.nouns.errors import EXIT_CODES, EXIT_INTERNAL, HTTP_STATUS, Code, refused


def test_every_code_has_its_own_exit_code_and_status() -> None:
    assert set(EXIT_CODES) == set(HTTP_STATUS) == set(Code)
    assert len({*EXIT_CODES.values(), EXIT_INTERNAL, 0, 1}) == len(Code) + 3
    assert len(set(HTTP_STATUS.values())) == len(Code)


def test_a_fault_keeps_all_it_says_across_processes() -> None:
    fault = refused("no", where="rule 3", fix="raise auc", detail={"rule": "metrics.auc >= 0.7"})
    back = pickle.loads(pickle.dumps(fault))
    assert (back.code, str(back), back.detail) == (fault.code, "rule 3: no\n  raise auc", fault.detail)
