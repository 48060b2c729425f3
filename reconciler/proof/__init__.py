"""What proves the audit log without trusting us: checkpoints, keys, witnesses, proofs.

entries ──> tree ──> checkpoint ──sign──> published, cosigned
"""
