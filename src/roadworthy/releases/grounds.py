"""Finds the target that `[release.NAME]` means: a kind of our own, or one that an installed package adds."""

from importlib import metadata

from roadworthy.data import sensitive
from roadworthy.nouns.errors import invalid, not_found
from roadworthy.nouns.project import Place
from roadworthy.nouns.project import Target as Settings
from roadworthy.releases.targets.local import target as local
from roadworthy.releases.targets.protocol import Ground, Maker, Target
from roadworthy.store.store import Store

GROUP = "roadworthy.targets"
BUILT_IN: dict[str, Maker] = {"local": local.make}


def open_target(store: Store, place: Place, name: str) -> Target:
    """The target of this name, ready to be observed and told.

    Raises:
        Fault: not found for a name or a kind that there is not, naming those there are.
    """
    settings = settings_of(place, name)
    ground = Ground(
        name=name,
        project=place.project.name,
        home=store.home,
        settings=settings,
        serving=place.project.serving,
        blobs=store.blobs,
        public=store.keys.public(),
        sensitive=tuple(sorted(sensitive.sensitive_columns(place.project))),
        salt=lambda: sensitive.secret(store.home / "keys").hex(),
        root=place.root,
    )
    return maker(settings.type)(ground)


def settings_of(place: Place, name: str) -> Settings:
    """`[release.NAME]`; a project without any has `local` as it is by default."""
    named = place.project.release
    if name in named:
        return named[name]
    if not named and name == "local":
        return Settings()
    known = ", ".join(sorted(named)) or "local"
    raise not_found("the project has no such target", where=name, fix=f"there is: {known}; or add [release.{name}]")


def default(place: Place, named: str = "") -> str:
    """The target that is meant when none is named: that of `[operate]`, or the only one.

    Raises:
        Fault: invalid when there are several and none is the default.
    """
    targets = place.project.release
    if named:
        settings_of(place, named)
        return named
    if place.project.operate.target in targets or not targets:
        return place.project.operate.target if targets else "local"
    if len(targets) == 1:
        return next(iter(targets))
    raise invalid("which target is not said", fix=f"add --to {' or --to '.join(sorted(targets))}")


def names(place: Place) -> list[str]:
    """Every target of the project."""
    return sorted(place.project.release) or ["local"]


def kinds() -> list[str]:
    """The kinds of targets that are installed."""
    return sorted({*BUILT_IN, *(point.name for point in metadata.entry_points(group=GROUP))})


def maker(kind: str) -> Maker:
    """What makes targets of a kind."""
    if kind in BUILT_IN:
        return BUILT_IN[kind]
    for point in metadata.entry_points(group=GROUP, name=kind):
        found: Maker = point.load()
        return found
    raise not_found(
        "no installed package adds this kind of target",
        where=f'type = "{kind}"',
        fix=f"there are: {', '.join(kinds())}",
    )
