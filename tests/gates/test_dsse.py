"""Envelopes: the standard's vector, and nobody else's signature."""

import base64
import doctest

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadworthy.gates import dsse
from roadworthy.nouns.errors import Code, Fault
from roadworthy.store.keys import Keys

TYPE = "application/vnd.in-toto+json"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))


def test_what_is_signed_is_what_the_standard_says():
    # the test vector of secure-systems-lab/dsse, protocol.md
    assert (
        dsse.encode_for_signing("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert dsse.encode_for_signing("", b"") == b"DSSEv1 0  0 "
    assert doctest.testmod(dsse).failed == 0


def test_lengths_are_of_bytes():
    assert dsse.encode_for_signing("tÿp", "é".encode()) == "DSSEv1 4 tÿp 2 é".encode()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_a_payload_comes_back(keys, payload):
    assert dsse.open_envelope(dsse.sign(payload, TYPE, keys), TYPE, keys.public()) == payload


def refuse(envelope, public, said, payload_type=TYPE):
    with pytest.raises(Fault, match=said) as caught:
        dsse.open_envelope(envelope, payload_type, public)
    assert caught.value.code is Code.REFUSED


def test_every_changed_byte_is_noticed(keys):
    envelope = dsse.sign(b'{"a": 1}', TYPE, keys)
    for i in range(len(envelope)):
        for bit in (1, 32, 128):
            changed = bytearray(envelope)
            changed[i] ^= bit
            with pytest.raises(Fault):
                dsse.open_envelope(bytes(changed), TYPE, keys.public())


def test_another_key_does_not_do(keys, tmp_path):
    refuse(dsse.sign(b"x", TYPE, keys), Keys(tmp_path).public(), "not signed by this key")


def test_another_key_does_not_do_under_our_name(keys, tmp_path):
    theirs = msgspec.json.decode(dsse.sign(b"x", TYPE, Keys(tmp_path)))
    theirs["signatures"][0]["keyid"] = keys.key_id()
    refuse(msgspec.json.encode(theirs), keys.public(), "signature does not hold")


def test_a_signature_for_one_type_does_not_stand_for_another(keys):
    made = msgspec.json.decode(dsse.sign(b"x", "text/plain", keys))
    refuse(msgspec.json.encode(made), keys.public(), "holds `text/plain`")
    made["payloadType"] = TYPE
    refuse(msgspec.json.encode(made), keys.public(), "signature does not hold")


def test_one_good_signature_of_several_is_enough(keys, tmp_path):
    made = msgspec.json.decode(dsse.sign(b"x", TYPE, keys))
    other = msgspec.json.decode(dsse.sign(b"x", TYPE, Keys(tmp_path)))
    made["signatures"] = other["signatures"] + made["signatures"]
    assert dsse.open_envelope(msgspec.json.encode(made), TYPE, keys.public()) == b"x"


@pytest.mark.parametrize(
    ("envelope", "said"),
    [
        (b"", "not a DSSE envelope"),
        (b"[]", "not a DSSE envelope"),
        (b"\xff\xfe", "not a DSSE envelope"),
        (b"[" * 100_000, "not a DSSE envelope"),
        (b'{"payload": 1}', "not a DSSE envelope"),
        (b'{"payload": "", "payloadType": "application/vnd.in-toto+json", "signatures": []}', "0 signatures"),
        (
            b'{"payload": "?", "payloadType": "application/vnd.in-toto+json", "signatures": []}',
            "payload is not base 64",
        ),
    ],
)
def test_what_is_no_envelope_is_refused(envelope, said, keys):
    refuse(envelope, keys.public(), said)


def test_a_huge_envelope_is_not_read(keys):
    refuse(b" " * (dsse.ENVELOPE_BYTES_MAX + 1), keys.public(), "at most")


def test_base64_has_one_spelling(keys):
    made = msgspec.json.decode(dsse.sign(b"x", TYPE, keys))
    assert base64.b64decode(made["payload"]) == b"x"
    made["payload"] = "eB=="  # decodes to the same byte as eA==
    refuse(msgspec.json.encode(made), keys.public(), "not written as base 64")
