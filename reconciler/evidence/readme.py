"""The page that stands in every export and says how to read it. Pure."""

from reconciler.evidence.part import Scope
from runner.contract import clock

_TEXT = """\
AUDIT LOG {log}
from {since} (included) to {until} (not included)

Every entry of that period is in here: {count} of them, numbers {first} to {last}. The log
is a Merkle tree (RFC 6962); `checkpoint` is its head over {size} entries, signed by the
log's key (C2SP signed note).

TO VERIFY, without any network and without us:

    sha256sum -c MANIFEST.sha256
    python3 verify.py .
    python3 verify.py . --key "$(cat KEY.vkey)" --against OLDER_CHECKPOINT

The key is the log's, got from elsewhere; the checkpoint is one that you kept, or that stands
at the Git remote: it shows what was written anew by whoever has the key.

WHAT IS IN HERE

    headers.jsonl      the entries, byte for byte as they were hashed, one a line; the entry
                       before the period and the one after it come along, so that you see
                       that nothing between them is missing
    after.bin          the leaf hashes of the entries from there to the checkpoint
    bundle.json        the period, and the roots of the tree before it
    checkpoint         the signed head of the log
    checkpoints/       the heads that were signed meanwhile; consistency/ proves that each of
                       them only grew to be the next
    keys/              the keys of the log, in order of use; N.note hands over to key N
    disclosures.jsonl  the private values that were chosen to be shown, each with the salt that
                       its commitment in the entry was made with
    erased.jsonl       those that were chosen and do not exist any more: the entries stay
    approvals/         what persons were asked and signed, where the arguments of calls are
                       disclosed (--disclose arguments, or --disclose-task)
    repo*.bundle       the commits that the entries name, for `git clone --mirror`;
                       repositories.txt lists what is in them and what could not be
    report.html        the report, for people; report.pdf is the same on paper, where it was
                       asked for
    csv/               the entries as a table, and the populations of the report: changes,
                       calls, approvals, denials, limits, samples; cells that a spreadsheet
                       would run as a formula begin with an apostrophe
    ocsf.jsonl         the same events in the form that security tools read; findings.sarif
    controls/          what the entries show of the controls of frameworks; oscal-ar.json says
                       the same for programs

CHECKS WITH THE TOOLS OF OTHERS

    sed '/^$/,$d' checkpoint > ../text
    (printf '\\060\\052\\060\\005\\006\\003\\053\\145\\160\\003\\041\\000'
     tail -n 1 keys/*.vkey | cut -d+ -f3- | base64 -d | tail -c 32) > ../key.der
    sed -n 5p checkpoint | cut -d' ' -f3 | base64 -d | tail -c 64 > ../signature
    openssl pkeyutl -verify -pubin -keyform DER -inkey ../key.der -rawin -in ../text \\
        -sigfile ../signature
    git bundle verify repo.bundle
    git clone --mirror repo.bundle commits.git
    ssh-keygen -Y verify -f approvals/allowed_signers -I NAME -n orloj-approval \\
        -s approvals/ID.sig < approvals/ID.json
"""


def text(scope: Scope) -> str:
    """The page for one export."""
    return _TEXT.format(
        log=scope.log,
        since=clock.iso(scope.since_us),
        until=clock.iso(scope.until_us),
        count=scope.last - scope.first + 1,
        first=scope.first,
        last=scope.last,
        size=scope.checkpoint.size,
    )
