"""What is recorded and what agents see, against what was applied.

look        one look at a repository's resources, in slices
watch       when the daemon looks, and what it does about what it finds
heal        putting back what a commit declares
settle      what is new is told once, what is mended is gone
comparison  one resource against what it should be; pure
standard    what it should be: the commit applied, read anew
testimony   what the audit log says was applied last
rows        what stands in the tables, whatever stands there
world       programs, secrets, models and addresses against what was seen first
drift       the values
"""
