"""The road: from data to a release, on one page.

In: a project. Out: its new model, certified and released. Called by the loop (loop.py), which journals each stage as it
is reached; `rw run`, `rw gate` and `rw release` are single lines of `travel`.
"""

from collections.abc import Callable

import msgspec

from roadworthy.gates import certificate as certificates
from roadworthy.gates import gate
from roadworthy.nouns.errors import invalid
from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Place
from roadworthy.nouns.release import Release
from roadworthy.nouns.run import Run
from roadworthy.operate.journal import Journey
from roadworthy.pipelines import registration, runner
from roadworthy.registry import forward, models, runs
from roadworthy.releases import grounds
from roadworthy.releases import plan as plans
from roadworthy.releases.apply import apply
from roadworthy.store.store import Store

Progress = Callable[[str], None]


class NothingNew(Exception):
    """The run made the very model that is champion already; there is nothing to judge or release."""


def travel(
    store: Store,
    place: Place,
    *,
    journey: Journey | None = None,
    reached: Callable[[Journey], Journey] | None = None,
    progress: Progress | None = None,
) -> Release:
    """Take the project down the road once; the first rule that refuses stops it.

    Args:
        journey: where an earlier attempt had come to; its stages are not repeated.
        reached: told after each stage how far it has come, before the next begins.
        progress: told a line at a time what is being done.

    Returns:
        The release: `live`, or `canary` when it begins with a share of the traffic.

    Raises:
        Fault: refused when the contract or the gate says no; what the stages raise otherwise.
        NothingNew: the run's model is the champion's, byte for byte.
    """
    way = journey or Journey()
    note = reached or _unnoted
    run = runs.get(store, way.run) if way.run else train(store, place, progress)
    way = note(msgspec.structs.replace(way, run=run.id))
    if not way.model and is_champion(store, place, run):
        raise NothingNew
    model = models.get(store, way.model) if way.model else registration.register(store, place, run)
    way = note(msgspec.structs.replace(way, model=model.id))
    for problem in forward.send_all(store, place.project.project.tracking, place.project.name):
        (progress or _silent)(problem)
    judgement = gate.pass_through(store, place, model, progress=progress)
    way = note(msgspec.structs.replace(way, certificate=judgement.certificate.id))
    gate.refuse_unless_passed(judgement.certificate)
    plan = plans.make(store, model, certificates.require(store, model), place, grounds.default(place))
    release = apply(store, plan, place, progress=progress)
    note(msgspec.structs.replace(way, release=release.id))
    return release


def train(store: Store, place: Place, progress: Progress | None) -> Run:
    """Snapshots of the data, the contract over them, the pipeline."""
    if place.project.model is None:
        raise invalid("the project has no [model] to release", where="roadworthy.toml", fix="add [model]")
    run = runner.run(store, place, options=runner.RunOptions(command="rw operate"), progress=progress)
    if run.status != "finished":
        raise invalid(f"the run {run.status}: {run.error or 'see its steps'}", where=run.id, fix="rw runs show latest")
    return run


def is_champion(store: Store, place: Place, run: Run) -> bool:
    """Whether a run made the model that is champion already."""
    spec = place.project.model
    champion: Model | None = models.champion(store, spec.name) if spec else None
    made = run.step(spec.step) if spec else None
    return (
        champion is not None
        and made is not None
        and made.output is not None
        and (made.output.digest == champion.value.digest)
    )


def _silent(_: str) -> None:
    pass


def _unnoted(journey: Journey) -> Journey:
    return journey
