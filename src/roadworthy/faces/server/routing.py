"""Routing: from a method and a path to the declared route, or to the answer that there is none.

Paths without parts in braces are found in one look-up; the others are tried by the number of their segments.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from roadworthy.faces.server.http import Route

_PART = re.compile(r"\{(\w+)(:path)?\}")


class Found(NamedTuple):
    """The route, and what its parts in braces matched."""

    route: Route
    args: dict[str, str]


class Table:
    """Every route there is.

    Args:
        routes: two of one method and path are a defect.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._plain: dict[str, dict[str, Route]] = {}
        self._parts: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        patterns: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            methods = (patterns if "{" in route.path else self._plain).setdefault(route.path, {})
            assert route.method not in methods, f"{route.method} {route.path} is declared twice"
            methods[route.method] = route
        # The longest literal first, so that `/traces/search` wins over `/traces/{id}` and so on.
        for path in sorted(patterns, key=lambda p: (":path" in p, -len(_PART.sub("", p)))):
            self._parts.append((_compiled(path), patterns[path]))

    def find(self, method: str, path: str) -> Found | tuple[str, ...]:
        """The route; or the methods that the path has, none when there is no such path."""
        methods = self._plain.get(path)
        if methods is not None:
            route = methods.get(method)
            if route is not None:
                return Found(route, {})
        allowed: tuple[str, ...] = tuple(methods or ())
        for pattern, others in self._parts:
            match = pattern.fullmatch(path)
            if match is not None:
                route = others.get(method)
                if route is not None:
                    return Found(route, match.groupdict())
                allowed += tuple(others)
        return allowed


def _compiled(path: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for part in _PART.finditer(path):
        pattern += re.escape(path[end : part.start()])
        pattern += f"(?P<{part[1]}>.+)" if part[2] else f"(?P<{part[1]}>[^/]+)"
        end = part.end()
    return re.compile(pattern + re.escape(path[end:]), re.DOTALL)
