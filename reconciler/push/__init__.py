"""What happens while a push waits: its plan, the answer, and the hook that asks for both.

    git push ──> pre-receive script ──> receive ──> verdict ──> the ref moves, or does not

options        what the pusher says with -o. Pure
verdict        the answer, as a value. Pure
judgement      whether the push may go on
receive        one push: which ref, which commit, its plan, what is recorded
installation   the script in the repository's hooks, and its settings
"""
