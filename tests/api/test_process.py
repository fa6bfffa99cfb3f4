"""What a serving process does and does not do; each test runs its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAMPLERS = (
    "pymc",
    "pytensor",
    "nutpie",
    "arviz",
    "arviz_base",
    "arviz_stats",
    "arviz_plots",
)
DATA_SIDE = ("ibis", "duckdb", "sklearn", "matplotlib", "typer")

MODULES = """
import json, sys
from api import create_app
client = create_app(model=sys.argv[1]).test_client()
answer = client.post("/predict", data=b"{'frequency':30, 'recency':100, 'T':215}")
routes = [client.get(path).status_code for path in ("/", "/health/live", "/health/ready")]
print(json.dumps([answer.status_code, *routes, sorted(sys.modules)]))
"""

# Everything is asked once before the hook is set, so that what Python imports late is in already.
AUDITED = """
import json, sys
from api import create_app
client = create_app(model=sys.argv[1]).test_client()
bodies = [body.encode() for body in json.loads(sys.argv[2])]
harmless = [b"{'frequency':30, 'recency':100, 'T':215}", b'{"T": 1}', b"{'T': print}", b"nonsense"]
for body in harmless:
    client.post("/predict", data=body)
events = []
watching = True
def hook(event, arguments):
    if watching:
        events.append((event, str(arguments[-1])[:200]))
sys.addaudithook(hook)
eval("1")
control = [event for event, _ in events]
events.clear()
answers = [client.post("/predict", data=body) for body in bodies]
watching = False
print(json.dumps([control, events, [[a.status_code, a.json] for a in answers]]))
"""


def run(program, *arguments):
    finished = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.getenv("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_the_service_answers_without_importing_the_sampler_or_the_data_side(model):
    *codes, modules = run(MODULES, model)
    assert codes == [200, 200, 200, 200]
    assert {"flask", "numpy", "bayes_clv.posterior.posterior"} <= set(modules)
    assert set(modules) & {*SAMPLERS, *DATA_SIDE} == set()


def test_the_command_that_serves_does_not_import_the_sampler_either():
    program = "import json, sys, bayes_clv.cli.commands, api.server"
    modules = set(run(f"{program}; print(json.dumps(sorted(sys.modules)))"))
    assert {"gunicorn", "gevent", "api.app"} <= modules
    assert modules & {*SAMPLERS, "ibis", "duckdb", "sklearn", "matplotlib"} == set()


@pytest.fixture
def exploits(tmp_path):
    code = f"__import__('os').system('touch {tmp_path}/owned')"
    texts = [
        "__import__('os').getpid()",
        code,
        f"{{'frequency': {code}, 'recency': 100, 'T': 215}}",
        f"{{'frequency': 30, 'recency': 100, 'T': 215, **{{'x': {code}}}}}",
        f"{{{code}: 30, 'recency': 100, 'T': 215}}",
        f"{{'frequency': 30, 'recency': 100, 'T': f'{{{code}}}'}}",
        f"{{'frequency': 30, 'recency': 100, 'T': (lambda: {code})()}}",
        f"{{'frequency': 30, 'recency': 100, 'T': [{code} for _ in (1,)]}}",
        f"{{'frequency': 30, 'recency': 100, 'T': '215', 'segment': \"{code}\"}}",
        f"[{code}]",
        f'eval("{code}")',
        f"exec(\"import os; os.system('touch {tmp_path}/owned')\")",
        f"import os; os.system('touch {tmp_path}/owned')",
        f"open('{tmp_path}/owned', 'w')",
        "().__class__.__base__.__subclasses__()",
        "{'frequency': 9**9**9, 'recency': 100, 'T': 215}",
    ]
    return [form for text in texts for form in (text, json.dumps(text))] + [
        json.dumps({"frequency": code, "recency": 100, "T": 215}),
        json.dumps({"frequency": 30, "recency": 100, "T": 215, "segment": code}),
    ]


def test_code_in_a_body_is_never_executed(model, exploits, tmp_path):
    control, events, answers = run(AUDITED, model, json.dumps(exploits))
    assert "exec" in control  # the hook sees an eval
    # ast.parse announces a "compile" too, of "<unknown>", and only builds a syntax tree.
    assert {event for event, _ in events} <= {"compile", "object.__getattr__"}
    assert {file for event, file in events if event == "compile"} == {"<unknown>"}
    assert len(answers) == len(exploits) > 30
    for code, answer in answers:
        assert code == answer["code"] == 503
        assert answer["message"]["INVALID REQUEST"]
    assert list(tmp_path.iterdir()) == []
