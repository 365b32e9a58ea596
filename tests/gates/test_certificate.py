"""Certificates: issued, verified, required; and nothing about them can be changed unnoticed."""

import base64
import hashlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadworthy.gates import certificate, dsse, rules
from roadworthy.nouns.errors import Code, Fault
from roadworthy.nouns.evidence import Evidence
from roadworthy.nouns.model import Field, Model, Signature
from roadworthy.nouns.step import Value
from roadworthy.store import log
from roadworthy.store.keys import Keys


@pytest.fixture
def model(store):
    digest = store.blobs.put(b"the bytes of a model")
    return Model(
        name="late", version=3, run="r" * 32, label="late", project="flights",
        value=Value(format="skops", digest=digest, size=20), signature=Signature(inputs=(Field(name="x", type="number"),)),
        holdout=Value(format="parquet", digest=store.blobs.put(b"rows"), size=4),
    )  # fmt: skip


def evidence_of(model, auc=0.71):
    return Evidence(
        model=model.id, model_digest=model.value.digest, facts={"metrics": {"auc": auc}},
        digests={"holdout": model.holdout.digest, "record": certificate.record_digest(model)}, measured_at=1.0,
    )  # fmt: skip


def issue(store, model, auc=0.71):
    evidence = evidence_of(model, auc)
    return certificate.issue(store, evidence, rules.judge(["metrics.auc >= 0.66"], evidence.facts), project="flights")


def refuse(call, said):
    with pytest.raises(Fault, match=said) as caught:
        call()
    assert caught.value.code is Code.REFUSED
    return caught.value


def test_a_certificate_is_an_in_toto_statement_in_a_dsse_envelope(store, model):
    made = issue(store, model)
    envelope = msgspec.json.decode(certificate.export(store, made.id))
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert [s["keyid"] for s in envelope["signatures"]] == [store.keys.key_id()]
    statement = msgspec.json.decode(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://roadworthy.dev/certificate/v1"
    content = b"the bytes of a model"
    assert statement["subject"] == [
        {"name": "late@3", "digest": {"blake3": model.value.digest, "sha256": hashlib.sha256(content).hexdigest()}}
    ]
    predicate = statement["predicate"]
    assert predicate["passed"] is True
    assert predicate["issued"] == "2023-11-14T22:13:20.000+00:00"
    assert predicate["issuer"]["actor"] == "tester"
    assert predicate["evidence"]["facts"] == {"metrics": {"auc": 0.71}}
    assert predicate["outcomes"][0]["would_pass"] == "metrics.auc >= 0.66"


def test_issuing_is_an_event_and_changes_no_alias(any_store):
    store = any_store
    digest = store.blobs.put(b"m")
    made = Model(
        name="late",
        version=1,
        run="r",
        label="y",
        value=Value(format="skops", digest=digest, size=1),
        signature=Signature(inputs=()),
        holdout=Value(format="json", digest=digest, size=1),
    )
    issued = issue(store, made, auc=0.1)
    with store.read() as reader:
        event = log.newest(reader)[0]
        assert reader.rows("SELECT * FROM aliases") == []
    assert (event.kind, event.subject) == ("certificate.issued", "late@1")
    assert event.detail["passed"] is False
    assert event.detail["refused"] == ["metrics.auc >= 0.66"]
    assert certificate.listing(store) == [issued]
    assert certificate.listing(store, "other@1") == certificate.listing(store, "lat") == []
    assert certificate.listing(store, "late") == certificate.listing(store, "late@1") == [issued]
    assert certificate.find(store, issued.id[:8]) == issued.id
    assert certificate.latest(store, "late@1") == issued


def test_a_passed_certificate_is_found_and_verified(store, model):
    made = issue(store, model)
    assert certificate.require(store, model) == made
    assert certificate.latest(store, model.id) == made
    assert certificate.verify(certificate.export(store, made.id), public=store.keys.public(), store=store) == made
    assert certificate.verify(certificate.export(store, made.id), public=store.keys.public()) == made
    assert certificate.find(store, made.id[:8]) == certificate.find(store, "late@3") == made.id


def test_without_a_certificate_nothing_is_released(store, model):
    assert certificate.latest(store, model.id) is None
    assert "rw gate late@3" in refuse(lambda: certificate.require(store, model), "has no certificate").fix


def test_a_refusal_is_no_certificate_and_says_what_would_pass(store, model):
    issue(store, model, auc=0.5)
    fault = refuse(lambda: certificate.require(store, model), "the gate refused the model: metrics.auc >= 0.66")
    assert fault.fix == "would pass: metrics.auc >= 0.66"


def test_a_later_refusal_takes_back_a_pass(store, model, clock):
    first = issue(store, model)
    clock.sleep(1)
    issue(store, model, auc=0.5)
    refuse(lambda: certificate.require(store, model), "the gate refused")
    assert certificate.require(store, model, by=first.id) == first
    refuse(lambda: certificate.require(store, model, by="0" * 64), "the certificate does not hold")


def test_another_models_certificate_does_not_do(store, model):
    issue(store, model)
    newer = msgspec.structs.replace(model, version=4)
    refuse(lambda: certificate.require(store, newer), "has no certificate")
    with store.append() as tx:
        tx.execute("UPDATE certificates SET model = 'late@4'")
    refuse(lambda: certificate.require(store, newer), "about another model")


def test_other_bytes_under_the_same_name_are_not_certified(store, model):
    issue(store, model)
    other = msgspec.structs.replace(model, value=Value(format="skops", digest=store.blobs.put(b"other"), size=5))
    refuse(lambda: certificate.require(store, other), "about another model")


def test_a_changed_record_is_not_certified_but_tags_may_change(store, model):
    made = issue(store, model)
    assert certificate.require(store, msgspec.structs.replace(model, tags={"seen": "yes"})) == made
    refuse(lambda: certificate.require(store, msgspec.structs.replace(model, threshold=0.1)), "record was changed")


def overwrite(path, content):
    path.chmod(0o600)
    path.write_bytes(content)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_changed_byte_of_the_model_is_caught(tmp_path_factory, data):
    from roadworthy.store.store import open_store

    with open_store(tmp_path_factory.mktemp("s") / "h") as store:
        content = data.draw(st.binary(min_size=1, max_size=64))
        digest = store.blobs.put(content)
        model = Model(
            name="m",
            version=1,
            run="r",
            label="y",
            value=Value(format="skops", digest=digest, size=1),
            signature=Signature(inputs=()),
            holdout=Value(format="json", digest=digest, size=1),
        )
        issue(store, model)
        place = data.draw(st.integers(0, len(content) - 1))
        changed = bytearray(content)
        changed[place] ^= data.draw(st.integers(1, 255))
        overwrite(store.blobs.path(digest), bytes(changed))
        refuse(lambda: certificate.require(store, model), "not those that were certified")
        envelope = certificate.export(store, certificate.find(store, "m@1"))
        refuse(
            lambda: certificate.verify(envelope, public=store.keys.public(), store=store),
            "not those that were certified",
        )


def test_a_model_that_is_gone_or_hold_out_rows_that_changed_are_caught(store, model):
    made = issue(store, model)
    envelope = certificate.export(store, made.id)
    overwrite(store.blobs.path(model.holdout.digest), b"Rows")
    refuse(
        lambda: certificate.verify(envelope, public=store.keys.public(), store=store), "the hold-out rows are not those"
    )
    store.blobs.path(model.value.digest).unlink()
    refuse(lambda: certificate.require(store, model), "not in the store")


def test_any_changed_byte_of_the_certificate_is_caught(store, model):
    made = issue(store, model)
    envelope = certificate.export(store, made.id)
    random = __import__("random").Random(4)
    for i in range(len(envelope)):
        changed = bytearray(envelope)
        changed[i] ^= 1 << random.randrange(8)
        with pytest.raises(Fault) as caught:
            certificate.verify(bytes(changed), public=store.keys.public())
        assert caught.value.code is Code.REFUSED
    overwrite(store.blobs.path(made.id), envelope.replace(b"payload", b"Payload", 1))
    refuse(lambda: certificate.require(store, model), "the certificate does not hold")


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_certificate_cut_short_is_caught(store, model, cut):
    envelope = certificate.export(store, issue(store, model).id)
    refuse(lambda: certificate.verify(envelope[:cut], public=store.keys.public()), "not a DSSE envelope")


def test_the_index_is_not_believed(store, model):
    made = issue(store, model, auc=0.5)
    with store.append() as tx:
        forged = msgspec.structs.replace(made, passed=True, outcomes=())
        tx.execute("UPDATE certificates SET passed = 1, record = :r", r=msgspec.json.encode(forged).decode())
    refuse(lambda: certificate.require(store, model), "the gate refused")


def test_another_projects_key_does_not_certify(store, model, tmp_path):
    made = issue(store, model)
    statement = base64.b64decode(msgspec.json.decode(certificate.export(store, made.id))["payload"])
    forged = dsse.sign(statement, certificate.PAYLOAD, Keys(tmp_path / "theirs"))
    refuse(lambda: certificate.verify(forged, public=store.keys.public()), "not signed by this key")
    with store.append() as tx:
        tx.execute("UPDATE certificates SET id = :id", id=store.blobs.put(forged))
    refuse(lambda: certificate.require(store, model), "the certificate does not hold: it is not signed by this key")


def contradicting(statement, part, value):
    plain = certificate.plain(statement)
    target = plain
    *path, last = part
    for key in path:
        target = target[key]
    target[last] = value
    return msgspec.json.encode(plain)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        (("predicate", "passed"), False, "it says that it passed, and its rules say otherwise|rules say otherwise"),
        (("predicate", "evidence", "model_digest"), "0" * 64, "evidence is about another model"),
        (("subject", 0, "name"), "late@4", "evidence is about another model"),
        (("subject",), [], "about 0 things"),
        (("predicateType",), "https://slsa.dev/provenance/v1", "it states `https://slsa.dev/provenance/v1`"),
        (("_type",), "other", "it states"),
        (("predicate",), 1, "the signed content is not a certificate"),
    ],
)
def test_a_signed_statement_that_contradicts_itself_is_refused(store, model, part, value, said):
    statement = certificate.read(store, issue(store, model).id)
    forged = dsse.sign(contradicting(statement, part, value), certificate.PAYLOAD, store.keys)
    refuse(lambda: certificate.verify(forged, public=store.keys.public()), said)


def test_certificates_are_found_by_the_beginning_of_their_id(store, model, clock):
    issue(store, model)
    for ref in ("zz", "0123456789", "late@9", "%", "' OR 1=1"):
        with pytest.raises(Fault) as caught:
            certificate.find(store, ref)
        assert caught.value.code is Code.NOT_FOUND


def test_certificates_need_bytes_to_certify(store, model):
    gone = msgspec.structs.replace(evidence_of(model), model_digest="0" * 64)
    with pytest.raises(Fault, match="not in the store"):
        certificate.issue(store, gone, ())
    assert certificate.listing(store) == []


def test_the_documentations_way_to_verify_by_hand_works(store, model, tmp_path, monkeypatch, capsys):
    made = issue(store, model)
    (tmp_path / "late-flights.json").write_bytes(certificate.export(store, made.id))
    (tmp_path / "signer.pem").write_bytes(certificate.key_file(store.keys.public()))
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "certificate.md").read_text("utf-8")
    exec(text.split("```python\n")[1].split("```")[0])
    assert capsys.readouterr().out == "True\n"


def test_the_documentation_names_every_field(store, model):
    text = (Path(__file__).parents[2] / "docs" / "certificate.md").read_text("utf-8")
    statement = certificate.plain(certificate.read(store, issue(store, model).id))
    predicate = statement["predicate"]
    fields = [*statement, *predicate, *predicate["issuer"], *predicate["outcomes"][0], *predicate["evidence"]]
    assert [name for name in fields if f"`{name}`" not in text] == []
