"""Rules about secrets: keys, tokens and passwords in sources and in outputs.

detect-secrets judges lines; it is loaded only when one of a notebook's lines looks as if it might hold a secret, which
one pattern decides. What is found is never shown.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from roadworthy.notebooks.rules.finding import Finding, Severity
from roadworthy.notebooks.rules.subject import Subject
from roadworthy.nouns.errors import unavailable

LINE_MAX = 5_000
# Beginnings of tokens, and words that stand beside secrets.
_FORMS = (
    r"AKIA|ASIA|A3T[A-Z0-9]|gh[pousr]_|github_pat_|glpat-|xox[abposr]-|hooks\.slack|sk_live|rk_live|sk-[A-Za-z0-9]|SG\.|eyJ[A-Za-z0-9]|"
    r"AIza|ya29\.|npm_|pypi-|dapi[0-9a-f]|hf_[A-Za-z]|key-[0-9a-z]{8}|PRIVATE KEY|://[^\s/:@]+:[^\s/:@]+@|AccountKey=|sq0|AC[0-9a-f]{8}|"
    r"discord|\d{8,10}:[0-9A-Za-z_-]{35}"
)
_TOKENS = re.compile(_FORMS)
_MAY_HOLD = re.compile(
    rf"{_FORMS}|(?i:passw(?:or)?d|passwd|\bpwd\b|secret|token|api_?key|apikey|access_?key|auth_?key|private_?key|credential)"
)
# What any of these has somewhere: looked for first, because finding a short text is many times faster than a pattern.
_MARKS = (
    "AKIA", "ASIA", "A3T", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "xox", "hooks.slack",
    "sk_live", "rk_live", "sk-", "SG.", "eyJ", "AIza", "ya29.", "npm_", "pypi-", "dapi", "hf_", "key-", "PRIVATE KEY",
    "://", "AccountKey=", "sq0", "AC", "discord", ":AA",
)  # fmt: skip
_WORDS = ("passw", "pwd", "secret", "token", "api_k", "apik", "access", "auth", "private", "credential")
# An assignment of a written-out text to a name that says what it is.
_ASSIGNED = re.compile(
    r"(?i)(?:^|[\s\"'({,\[.])[\w.-]*?(passw(?:or)?d|passwd|\bpwd|secret(?:_?key)?|token|api_?key|access_?key|auth_?key|"
    r"private_?key)(?:_\w{0,12}|\d{0,2})[\"'\]]{0,2}\s*(?:=(?!=)|:(?!:)|=>)\s*[rfb]{0,2}([\"'])(?P<value>[^\"'\n]{6,200})\2"
)
_NO_SECRET = re.compile(
    r"(?i)^(?:.*(?:your|example|xxx|<|>|\*\*\*|\.\.\.|…|changeme|placeholder|dummy|insert|redacted|todo|fake|sample|\$\{|\{\{|"
    r"%s|os\.environ|getenv|test|not[_-]?a|enter|my[_-]).*|password|passwd|secret|token|api[_-]?key|none|null|true|false|"
    r"[a-z_]+|[A-Z_]+|[\w-]+\s[\w\s.,:'-]*|(.)\1+|\{\w*\}|https?://[^@]*|[./~][\w./-]*|\[\w+\])$"
)
# Kinds that detect-secrets knows by their form; high entropy alone says too little in notebooks full of hashes.
_PLUGINS = (
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "CloudantDetector",
    "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "IbmCloudIamDetector", "JwtTokenDetector",
    "MailchimpDetector", "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector",
    "SlackDetector", "SoftlayerDetector", "SquareOAuthDetector", "StripeDetector", "TelegramBotTokenDetector",
    "TwilioKeyDetector",
)  # fmt: skip
_OURS = (
    (re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b"), "Google API key"),
    (re.compile(r"\bhf_[A-Za-z]{30,40}\b"), "Hugging Face token"),
    (re.compile(r"\bdapi[0-9a-f]{32}\b"), "Databricks token"),
    (re.compile(r"\bgithub_pat_\w{22,255}\b"), "GitHub token"),
    (re.compile(r"\bsk-(?:ant|proj)-[\w-]{20,}"), "API key"),
)


class SecretInSource:
    """A secret is written in a cell.

    Everybody who can read the notebook has it, and so has the history of version control after it is deleted.

    Fix: revoke it, and read the new one from an environment variable or a secret store.
    """

    code, name = "RWN401", "secret-in-source"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.notebook.cells:
            source = cell.source
            if not _may_hold(source):
                continue
            for number, line in enumerate(source.split("\n"), 1):
                if len(line) <= LINE_MAX and _MAY_HOLD.search(line):
                    kind = _secret(line, code=cell.kind == "code")
                    if kind:
                        yield _hidden(
                            subject.finding(
                                self,
                                cell.index,
                                number,
                                f"{_a(kind)} is written here",
                                fix="revoke it, and read the new one from an environment variable",
                            )
                        )


class SecretInOutput:
    """A secret is in an output.

    Outputs are saved with the notebook: what a cell prints is as public as what it says.

    Fix: revoke the secret, clear the output, and do not print it.
    """

    code, name = "RWN402", "secret-in-output"
    severity: Severity = "error"

    def find(self, subject: Subject) -> Iterator[Finding]:
        for cell in subject.notebook.cells:
            kind = _in_outputs(subject, cell.index) if cell.outputs else ""
            if kind:
                yield subject.of_output(
                    self,
                    cell.index,
                    f"{_a(kind)} is in the output",
                    fix="revoke it, and clear the output: rw notebook clean",
                )


def _may_hold(source: str) -> bool:
    for mark in _MARKS:
        if mark in source:
            return True
    low = source.lower()
    return any(word in low for word in _WORDS)


def _in_outputs(subject: Subject, index: int) -> str:
    for _, text in subject.shown(index):
        if any(mark in text for mark in _MARKS) and _TOKENS.search(text):
            for line in text.split("\n"):
                if len(line) <= LINE_MAX and _TOKENS.search(line):
                    kind = _secret(line, code=False)
                    if kind:
                        return kind
    return ""


def _secret(line: str, *, code: bool) -> str:
    """The kind of secret in a line; empty when there is none."""
    for pattern, kind in _OURS:
        found = pattern.search(line)
        if found and len(set(found[0])) > 8:
            return kind
    if code:
        for found in _ASSIGNED.finditer(line):
            if not _NO_SECRET.match(found["value"]) and len(set(found["value"])) > 4:
                return found[1].lower().replace("_", " ")
    if _TOKENS.search(line):
        return _by_form(line)
    return ""


def _by_form(line: str) -> str:
    """The kind of secret that detect-secrets recognises by its form."""
    try:
        from detect_secrets.core.plugins import initialize
        from detect_secrets.settings import transient_settings
    except ModuleNotFoundError:
        raise unavailable(
            "looking for secrets needs detect-secrets", fix="pip install 'roadworthy[notebooks]'"
        ) from None
    with transient_settings({"plugins_used": [{"name": name} for name in _PLUGINS]}):
        for name in _PLUGINS:
            plugin: Any = initialize.from_plugin_classname(name)
            for secret in plugin.analyze_string(line):
                shown = line if name != "BasicAuthDetector" else secret
                if "EXAMPLE" in shown.upper() or (name == "BasicAuthDetector" and _NO_SECRET.match(secret)):
                    continue
                kind: str = plugin.secret_type
                return kind
    return ""


def _hidden(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, text="", column=1, end_column=1)


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiouAEIO' else 'a'} {kind}"


RULES = (SecretInSource(), SecretInOutput())
