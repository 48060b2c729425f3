"""AgentDojo's tasks and attacks, the policies they are driven against, and two ways to drive.

suites      what AgentDojo holds: tasks, attacks, tools, and its own judges
rules       policies as manifests of ours
decided     every pair through the guard's decision
whole       a sample of pairs through the whole runner
"""
