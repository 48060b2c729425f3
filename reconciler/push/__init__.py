"""What happens while a push waits: its plan, the answer, and the hook that asks for both.

    git push ──> pre-receive script ──> receive ──> verdict ──> the ref moves, or does not

followed       whether the push is ours to look at, and who pushes
options        what the pusher says with -o. Pure
verdict        the answer, as a value. Pure
judgement      whether the push may go on
receive        one push: its commit, its plan, the answer, what is recorded
installation   the script in the repository's hooks, and its settings
"""
