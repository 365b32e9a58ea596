"""The target `local`: processes on this machine.

<home>/serving/<target>/state.json              what the router follows, replaced at once
<home>/serving/<target>/run/<name>.json         which process is which
<home>/serving/<target>/logs/<name>.log         what each printed
<home>/serving/<target>/<model>-<version>/      the bundle a server works from

Servers outlive the command that started them and are found again by the next one. A new server takes no traffic until
it answers; an old one is stopped when the router says that nothing it was asked is unanswered.
"""
