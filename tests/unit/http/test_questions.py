"""Every question is registered once."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from interfaces.http import api
from interfaces.http.api.questions import QUESTIONS
from interfaces.http.questions import Question


def test_every_question_of_a_module_is_registered():
    declared = {
        value.operation_id
        for module in pkgutil.walk_packages(api.__path__, f"{api.__name__}.")
        for value in vars(import_module(module.name)).values()
        if isinstance(value, Question)
    }
    assert declared == {question.operation_id for question in QUESTIONS}
    assert len({(question.method, question.path) for question in QUESTIONS}) == len(QUESTIONS)
