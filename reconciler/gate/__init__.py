"""Whether a plan may be applied now: each rule is a module, `gate` asks them all. Pure.

plan ──> gate ──> no block: apply
            └──> blocks, each with a stable reason, a sentence and what to do
"""
