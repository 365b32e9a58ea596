"""`rw certificate`: show, list, export and verify certificates."""

from pathlib import Path
from typing import Any

import click

from roadworthy.faces.cli import output
from roadworthy.faces.cli.place import open_anywhere
from roadworthy.gates import certificate
from roadworthy.gates.compare import in_words
from roadworthy.nouns.certificate import Certificate
from roadworthy.nouns.errors import Fault, conflict, invalid, refused
from roadworthy.nouns.rule import Outcome
from roadworthy.store import keys as signing
from roadworthy.store import project_file
from roadworthy.store.blobs import digest_of_file
from roadworthy.store.store import HOME, open_store


@click.group("certificate")
def command() -> None:
    """Show, list, export and verify certificates.

    \b
    Examples:
      rw certificate list
      rw certificate show late-flights@3
      rw certificate export late-flights@3 --to late-flights.json --key-to signer.pem
      rw certificate verify late-flights.json --key signer.pem
    """  # noqa: D301 - click's mark is the control character


@command.command("list")
@click.argument("model", required=False, default="")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many, newest first.")
@output.json_option
def listed(model: str, *, limit: int, as_json: bool) -> None:
    """List certificates, newest first; of one model (NAME) or version (NAME@3) if given."""
    with open_anywhere() as store:
        found = certificate.listing(store, model, limit=limit)
    if as_json:
        output.print_json(found)
        return
    rows = [
        (c.id[:16], c.model, "passed" if c.passed else "refused", output.when(c.issued_at), _refusals(c)) for c in found
    ]
    output.table(("certificate", "model", "outcome", "issued", "refused by"), rows)


@command.command("show")
@click.argument("which")
@output.json_option
def show(which: str, *, as_json: bool) -> None:
    """Show a certificate: WHICH is a model or version (its newest certificate) or the beginning of an id.

    Its signature is verified first.
    """
    with open_anywhere() as store:
        found = certificate.find(store, which)
        statement = certificate.read(store, found)
    if as_json:
        output.print_json({"id": found, "statement": certificate.plain(statement)})
        return
    _show(found, statement)


@command.command("export")
@click.argument("which")
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="File to write; standard output by default."
)
@click.option(
    "--key-to", type=click.Path(path_type=Path, dir_okay=False), help="Also write the public key (PEM) there."
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
def export(which: str, *, to: Path | None, key_to: Path | None, overwrite: bool) -> None:
    """Write a certificate's envelope to a file that can be verified anywhere."""
    with open_anywhere() as store:
        envelope = certificate.export(store, certificate.find(store, which))
        public = store.keys.public()
    for path in filter(None, (to, key_to)):
        if path.exists() and not overwrite:
            raise conflict("the file is there already", where=str(path), fix="name another, or add --overwrite")
    try:
        if key_to is not None:
            key_to.write_bytes(certificate.key_file(public))
        if to is not None:
            to.write_bytes(envelope)
            output.say(f"written to {to}")
    except OSError as problem:
        raise invalid(f"the file cannot be written: {problem.strerror}", where=str(problem.filename)) from None
    if to is None:
        click.echo(envelope)


@command.command("verify")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False), help="Public key (PEM) that must have signed it."
)
@click.option(
    "--model",
    "model_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The model's file, to be compared with what was certified.",
)
@output.json_option
def verify(file: Path, *, key: Path | None, model_file: Path | None, as_json: bool) -> None:
    """Verify an exported certificate: signature, content and, where they are at hand, the model's bytes.

    Needs no project and no network when --key is given. In a project the key is the project's own, and the model and
    the hold-out rows in its store are hashed and compared, too. What does not hold is named, with exit code 5.
    """
    envelope = file.read_bytes()
    try:
        if key is not None:
            made = certificate.verify(envelope, public=signing.read_public(key))
            checked = ["signature", "content"]
        else:
            made, checked = _verify_here(envelope)
        if model_file is not None:
            _check_model(model_file, made)
            checked.append(str(model_file))
    except Fault as fault:
        fault.where = f"{file}: {fault.where}" if fault.where else str(file)
        raise
    if as_json:
        output.print_json({"holds": True, "checked": checked, "certificate": made})
        return
    holds = output.styled("holds", fg="green", bold=True)
    click.echo(f"{holds}: {made.model}, {_verdict(made)}, issued {output.when(made.issued_at)}")
    click.echo(f"  checked: {', '.join(checked)}; signed by key {made.key_id[:16]}")


def _verify_here(envelope: bytes) -> tuple[Certificate, list[str]]:
    path = project_file.find(Path.cwd())
    home = path.parent / HOME if path else Path.cwd() / HOME
    if not home.is_dir():
        raise invalid("there is no project here whose key could be used", fix="give the public key: --key signer.pem")
    url = project_file.read(path).project.project.store if path else ""
    with open_store(home, url=url) as store:
        made = certificate.verify(envelope, public=store.keys.public(), store=store)
    return made, ["signature", "content", "the model's bytes in the store", "the hold-out rows in the store"]


def _check_model(path: Path, made: Certificate) -> None:
    if digest_of_file(path) != made.model_digest:
        raise refused(f"{path} is not the model that was certified", where=made.model)


def _show(found: str, statement: certificate.Statement) -> None:
    predicate, subject = statement.predicate, statement.subject[0]
    pairs = [
        ("certificate", found),
        ("model", subject.name),
        ("outcome", "passed" if predicate.passed else "refused"),
        ("project", predicate.project),
        ("issued", f"{output.when(predicate.issued_at)} UTC by {predicate.issuer.actor}, {predicate.issuer.tool}"),
        ("key", predicate.issuer.keyid),
        ("champion", predicate.evidence.champion or "none yet"),
        *((f"{algorithm}", digest) for algorithm, digest in sorted(subject.digest.items())),
    ]
    output.pairs(pairs)
    click.echo("")
    rows = [(_mark(o), o.name, _measured(o.measured), o.would_pass or o.problem) for o in predicate.outcomes]
    output.table(("", "rule", "measured", "would pass"), rows)
    for comparison in predicate.evidence.comparisons:
        click.echo(f"{comparison.metric}: {in_words(comparison)}")
    output.heading("what it rests on, by digest")
    output.pairs(sorted(predicate.evidence.digests.items()))


def _mark(outcome: Outcome) -> str:
    if outcome.passed:
        return "pass"
    return "FAIL" if outcome.level == "error" else "warn"


def _measured(measured: dict[str, Any]) -> str:
    return ", ".join(f"{k} = {v:.4g}" if isinstance(v, float) else f"{k} = {v}" for k, v in measured.items()) or "-"


def _refusals(made: Certificate) -> str:
    return ", ".join(o.name for o in made.outcomes if not o.passed and o.level == "error") or "-"


def _verdict(made: Certificate) -> str:
    return "passed" if made.passed else f"refused by {_refusals(made)}"
