"""What queues a task when something happens: the Task that it names, or one that it holds."""

from typing import Self

from pydantic import Field, model_validator

from runner.contract.kinds.base import Key, Reference, Spec, named
from runner.contract.kinds.task import Task


class Trigger(Spec):
    """A kind that queues a Task, best a template, or what stands in it, which is one."""

    task_ref: str | None = Field(default=None, min_length=1)
    task_template: Task | None = None

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        if (self.task_ref is None) == (self.task_template is None):
            raise ValueError("needs exactly one of task_ref and task_template")
        return self

    def task(self, namespace: str) -> Key | None:
        """The Task to queue; None: it stands here."""
        return None if self.task_ref is None else named("Task", self.task_ref, namespace)

    def queued(self, namespace: str) -> Key:
        """What is queued, for people: the Task, or whoever does the work that stands here."""
        if self.task_template is not None:
            return self.task_template.subject(namespace)
        assert self.task_ref is not None
        return named("Task", self.task_ref, namespace)

    def references(self, namespace: str) -> list[Reference]:
        """Its task, or what the work that stands here names."""
        task = self.task(namespace)
        if task is not None:
            return [Reference(task, ("spec", "task_ref"))]
        assert self.task_template is not None
        return [
            Reference(found.target, ("spec", "task_template", *found.path[1:]), found.required)
            for found in self.task_template.references(namespace)
        ]
