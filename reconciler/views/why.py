"""A walk for people: a block a step, the call first, how to check it last. Pure.

It is made of the fields that `why_json` promises; every text in them comes from manifests,
models, people or the database, and is made harmless before it is shown.
"""

from collections.abc import Iterable
from typing import Any, Final

from rich.text import Text

from reconciler.views.plain import plain
from reconciler.views.table import Cell, heading, pairs, paragraphs, table, word

Fields = dict[str, Any]
Rows = list[tuple[str, Cell]]
_UNKNOWN: Final = "not recorded"
_LOST: Final = "no mirror of this home has this commit: fetch it, then ask again"
_RESULT_STYLES: Final = {"same": "green", "different": "bold red", "cannot be told": "yellow"}
_STATE_WORDS: Final = {
    "included": ("proved", "green"),
    "open": ("not covered by a checkpoint yet", "yellow"),
    "excluded": ("NOT what was signed", "bold red"),
    "unsigned": ("no checkpoint can be believed", "bold red"),
}


def call_words(fields: Fields) -> Text:
    """The walk of a call."""
    call = fields["call"]
    title = f"{call['task']}/{call['step']}  {call['tool'] or call['model'] or ''}"
    blocks = [
        ("Call", _call(call)),
        ("Task", _task(fields["task"])),
        ("Agent", _agent(fields)),
        ("Line", _line(fields["rule"])),
        ("Commit", _commit(fields)),
        ("Plan", _plan(fields)),
        ("Approval", _approval(fields["approval"])),
        ("Applied", _applied(fields["applied"])),
        ("Proof", _proof(fields["proof"])),
        ("Again", _again(fields["again"])),
    ]
    return _page(title, blocks, fields)


def task_words(fields: Fields) -> Text:
    """The walk of a task: its calls in order, then what they have in common."""
    headers = ("STEP", "AGENT", "CALLED", "DECISION", "OUTCOME", "RULE", "AGAIN", "ENTRIES")
    rows = [_step(call) for call in fields["calls"]]
    calls = table(headers, rows, "  ") if rows else Text("  the task made no call")
    blocks = [
        ("Task", _task(fields["task"])),
        ("Whole", _whole(fields)),
        ("Commit", _commit(fields)),
        ("Plan", _plan(fields)),
        ("Applied", _applied(fields["applied"])),
        ("Proof", _proof(fields["proof"])),
    ]
    following = f"Next: orloj why {fields['task']['id']}/STEP" if rows else None
    return _page(fields["task"]["id"], blocks, fields, calls, following)


def entry_words(fields: Fields) -> Text:
    """The walk of an entry that belongs to no task."""
    entry = fields["entry"]
    about: Rows = [
        (name, plain(str(entry[name])))
        for name in ("type", "code", "actor", "resource", "reason", "outcome", "digest")
        if name in entry
    ]
    blocks = [
        ("Entry", about),
        ("Line", _line(fields["rule"]) if fields["rule"]["at"] else []),
        ("Commit", _commit(fields)),
        ("Plan", _plan(fields)),
        ("Applied", _applied(fields["applied"])),
        ("Proof", _proof(fields["proof"])),
    ]
    return _page(f"entry {entry.get('seq')}", blocks, fields)


def _page(
    title: str,
    blocks: Iterable[tuple[str, Rows]],
    fields: Fields,
    more: Text | None = None,
    following: str | None = None,
) -> Text:
    parts: list[Text | None] = [heading(plain(title)), more]
    parts += [_block(name, rows) for name, rows in blocks if rows]
    if fields["faults"]:
        parts.append(Text("DOES NOT FIT", "bold red"))
        parts += [Text(f"  {plain(fault)}", "red") for fault in fields["faults"]]
    parts.append(Text("Check it yourself, in a clone of the repository:", "dim"))
    parts += [Text(f"  {plain(command)}") for command in fields["check"]]
    if following is not None:
        parts.append(Text(following, "dim"))
    return paragraphs(*parts)


def _block(name: str, rows: Rows) -> Text:
    return Text.assemble((name, "bold"), "\n", pairs(rows))


def _call(call: Fields) -> Rows:
    rows: Rows = [
        ("decision", _coloured(call["decision"])),
        ("because", call["reason"] or _UNKNOWN),
        ("needs", call["permission"] or "-"),
        ("outcome", _coloured(call["outcome"])),
    ]
    for name in ("requested", "decided", "started", "ended"):
        if call[name] is not None:
            rows.append((name, f"{_at(call[name]['at'])}, entry {call[name]['entry']}"))
    return rows


def _task(task: Fields) -> Rows:
    rows: Rows = [("id", task["id"]), ("of", task["subject"] or _UNKNOWN)]
    if task["task_manifest"]:
        rows.append(("from", f"Task {task['task_manifest']}"))
    rows.append(("state", _coloured(task["state"])))
    rows.append(("queued by", task["queued_by"] or _UNKNOWN))
    return rows


def _agent(fields: Fields) -> Rows:
    rows: Rows = [("agent", " > ".join(map(str, fields["chain"])))]
    for kind in ("agent", "tool"):
        found = fields["manifests"][kind]
        if found is not None:
            what = f"{found['action']} in commit {str(found['commit'])[:12]}"
            rows.append((f"its {kind}", f"{found['place']}, {what} ({found['reason']})"))
    return rows


def _line(line: Fields) -> Rows:
    rows: Rows = [("rule", line["at"] or _UNKNOWN)]
    if line["fault"]:
        rows.append(("missing", Text(plain(line["fault"]), "yellow")))
    for number, text in line["excerpt"]:
        here = number == line["line"]
        mark = ">" if here else " "
        rows.append((f"{mark} {number}", Text(plain(text), "bold" if here else "")))
    if line["blob"]:
        rows.append(("blob", line["blob"]))
    written = line["written"]
    if written is not None:
        rows.append(("written in", f"{written['commit']}  {written['subject']}"))
        rows.append(("author", written["author"]))
        rows.append(("committer", f"{written['committer']}, {_at(written['at'])}"))
    return rows


def _commit(fields: Fields) -> Rows:
    commit, people = fields["commit"], fields["people"]
    if commit["commit"] in (None, "none"):
        return [("commit", "none: nothing of it came from Git")]
    rows: Rows = [("commit", commit["commit"])]
    if not commit["in_mirror"]:
        rows.append(("missing", Text(_LOST, "yellow")))
    else:
        rows.append(("subject", commit["subject"]))
        rows.append(("author", commit["author"]))
        rows.append(("committer", f"{commit['committer']}, {_at(commit['at'])}"))
    signature = f"{people['signature'] or ''} {people['signer'] or ''}".strip()
    rows.append(("signature", signature or "nobody was asked for one"))
    rows.append(("reviewers", ", ".join(people["reviewers"]) or _UNKNOWN))
    return rows


def _plan(fields: Fields) -> Rows:
    plan = fields["plan"]
    if plan is None:
        return [("plan", _UNKNOWN)]
    rows: Rows = [("plan", plan["id"])]
    for given in plan["let_pass"]:
        why = f" ({given['reason']})" if given["reason"] else ""
        rows.append(("let pass", f"{given['kind']} by {given['actor']}{why}"))
    return rows


def _approval(approval: Fields | None) -> Rows:
    if approval is None:
        return [("approval", "none was needed")]
    rows: Rows = [("request", approval["id"]), ("state", _coloured(approval["state"]))]
    if approval["approver"]:
        how = f"{approval['assurance']}, signature {approval['signature']}"
        rows.append(("by", f"{approval['approver']} ({how}), {_at(approval['decided_at'])}"))
    if approval["digest"]:
        rows.append(("digest", approval["digest"]))
    return rows


def _applied(applied: Fields | None) -> Rows:
    if applied is None:
        return [("applied", _UNKNOWN)]
    entry = f"entry {applied['entry']}" if applied["entry"] else "no entry"
    return [
        ("applied", f"{_at(applied['at'])}, {entry}, history {applied['history']}"),
        ("by", f"{applied['by']} ({applied['cause']})"),
    ]


def _proof(proof: Fields) -> Rows:
    rows: Rows = []
    if proof["fault"]:
        rows.append(("fault", Text(plain(proof["fault"]), "bold red")))
    elif proof["checkpoint"] is None:
        rows.append(("checkpoint", Text("none was signed yet", "yellow")))
    else:
        rows.append(
            ("checkpoint", f"of {proof['checkpoint']} entries, {_at(proof['signed_at'])}")
        )
        seen = f"with {proof['published_checkpoint']} entries, {_at(proof['published_at'])}"
        rows.append(("published", seen if proof["published_at"] else "not yet"))
    by_state: dict[str, list[str]] = {}
    for one in proof["entries"]:
        by_state.setdefault(one["state"], []).append(str(one["entry"]))
    for state, seqs in by_state.items():
        words, style = _STATE_WORDS[state]
        shown = ", ".join(seqs[:12]) + (f" and {len(seqs) - 12} more" if len(seqs) > 12 else "")
        rows.append(("entries", Text(f"{shown}: {words}", style)))
    return rows


def _again(again: Fields) -> Rows:
    style = _RESULT_STYLES[again["result"]]
    rows: Rows = [("judged again", Text(again["result"], style)), ("why", again["reason"])]
    if again["decision"] and again["result"] == "different":
        rows.append(("guard says", f"{again['decision']}: {again['verdict']}, {again['rule']}"))
    if again["manifests_match"] is not None:
        match = "are those that the log names" if again["manifests_match"] else "are OTHERS"
        rows.append(("manifests", f"of the commit {match}"))
    rows += [("beside", note) for note in again["not_evaluated"]]
    return rows


def _whole(fields: Fields) -> Rows:
    numbers = f"{fields['entries']} entries, {fields['first']} to {fields['last']} of the log"
    closed = fields["closed"]
    end = f"closed: its end counts {closed}" if closed else "open: the task is not over"
    rows: Rows = [("entries", numbers)]
    rows.append(("numbering", "1 to n without a gap" if fields["numbered"] else "HAS GAPS"))
    rows.append(("end", end))
    return rows


def _step(call: Fields) -> tuple[Cell, ...]:
    moments = [call[name]["entry"] for name in ("requested", "ended", "decided") if call[name]]
    again = call["again"]["result"] if call["again"] else "-"
    return (
        str(call["step"]),
        call["agent"] or "-",
        call["tool"] or call["model"] or "-",
        _coloured(call["decision"]),
        _coloured(call["outcome"]),
        call["rule"] or "-",
        Text(again, _RESULT_STYLES.get(again, "")),
        f"{min(moments)}-{max(moments)}" if moments else "-",
    )


def _coloured(text: str | None) -> Text:
    return word(text or "-")


def _at(at: str | None) -> str:
    return "-" if at is None else f"{at[:19].replace('T', ' ')} UTC"
