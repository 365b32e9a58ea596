"""Names for runs whose clients give none: an adjective, an animal and a number, as people know them from MLflow.

In: chance. Out: a name of at most 20 characters, such as `calm-otter-417`. Called by runs.py.
"""

import random

LENGTH_MAX = 20


def _words(text: str) -> list[str]:
    return text.split()


ADJECTIVES = _words(
    """
    able agile amber ample astute aware balmy bold brave breezy bright brisk calm candid careful chatty cheerful
    clean clear clever cosy crisp curious daring deft dreamy eager early earnest easy fair fancy fearless fine
    firm fleet fond frank free fresh gentle glad golden good grand happy hardy hearty honest humble jolly keen
    kind late lively loyal lucky mellow merry mighty mild modest neat nimble noble open patient plucky polite
    proud quick quiet rapid ready rosy sage sharp shiny silent silver sincere sleek smart smooth snug solid
    sound spry steady sunny sure swift tidy tiny true upbeat valiant vivid warm wise witty young zesty
    """
)
ANIMALS = _words(
    """
    ant auk badger bat bear beaver bee bison boar bug carp cat chimp cod colt cow crab crane crow deer dog
    dolphin donkey dove duck eagle eel elk falcon fawn ferret finch fish flea fly foal fowl fox frog gnat gnu
    goat goose grouse grub gull hare hawk hen heron hog horse hound jay kit kite koi lamb lark loon lynx mare
    midge mink mole moose moth mouse mule newt otter owl ox panda perch pig pony pug quail ram rat ray robin roo
    rook seal shad shark sheep shoat shrew shrike shrimp skink skunk sloth slug smelt snail snake snipe sow
    sponge squid squirrel stag steed stoat stork swan tern toad trout turtle vole wasp whale wolf worm wren yak
    zebra
    """
)


def random_name() -> str:
    """A name; chance alone makes it a new one."""
    name = f"{random.choice(ADJECTIVES)}-{random.choice(ANIMALS)}-{random.randrange(1000)}"
    return name[:LENGTH_MAX]
