"""Who may do what, and which line says so. Pure: values in, a verdict out.

requirement ──> grants, policies ──> judge ──> verdict
reach gathers what a decision looks at; access and replay put questions to the judge
"""
