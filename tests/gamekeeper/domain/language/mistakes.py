"""Mistakes of the language: each with its line, its path, and a part of its message and of its hint."""

from __future__ import annotations

HEAD = "name: test\nsteps:\n"
STEP = HEAD + "  - name: build\n    container: {image: alpine}\n"


CALL = HEAD + "  - name: build\n    type: pipeline\n"
KEPT = HEAD + "  - name: build\n    type: service\n    lifetime: node\n    container: {image: alpine}\n"
APPROVAL = HEAD + "  - name: build\n    type: approval\n    approval: {message: go?}\n"
MATRIX = HEAD + "  - name: build\n    matrix: {bot: [1]}\n    container:\n      image: a\n      environment:\n"
OUTPUT = (
    STEP.replace("{", "{{").replace("}", "}}")
    + "    outputs: [digest]\n  - name: b\n    if: {read} == 'x'\n    container: {{image: alpine}}\n"
)
PORTS = """version: 1
name: test
args: {{x: 1}}
steps:
  - name: server
    type: service
    container: {{image: a, ports: [{{name: game, target: 80}}]}}
  - name: b
    container: {{image: a, environment: {{P: "${{{{ steps.server.ports.{name} }}}}"}}}}
"""


def step(line: str) -> str:
    """A pipeline of one step with one more line in it."""
    return STEP + f"    {line}\n"


def container(line: str) -> str:
    return HEAD + f"  - name: build\n    container:\n      image: alpine\n      {line}\n"


def second(text: str) -> str:
    return STEP + f"  - {text}\n"


CASES = [
    # text, line, path, part of the message, part of the hint
    ("", 1, "", "the pipeline is empty", ""),
    ("[1, 2", 1, "", "not valid YAML", ""),
    ("a: b: c", 1, "", "not valid YAML", ""),
    ("- 1", 1, "", "a pipeline is a mapping", ""),
    ("name: a\nname: b\nsteps: []", 2, "name", 'key "name" given twice (also line 1)', ""),
    ("steps: []", 1, "name", "is missing", 'add "name"'),
    ("name: test\nsteps: []", 2, "steps", "has no entries; at least 1 must be there", ""),
    ("name: My Pipe\nsteps: [{name: a, container: {image: b}}]", 1, "name", '"My Pipe" may use', 'try "my-pipe"'),
    ("version: 2\n" + STEP, 1, "version", "this server reads version 1", ""),
    ("stages: 1\n" + STEP, 1, "stages", 'unknown key "stages"', "write steps, a list"),
    ("timeout: 5 minutes\n" + STEP, 1, "timeout", '"5 minutes" is not a duration; write 5m', ""),
    (
        "concurrency: {group: a, on_busy: replace}\n" + STEP,
        1,
        "concurrency.on_busy",
        '"replace"; use queue, cancel_old or reject',
        "",
    ),
    ('concurrency: {group: "${{ arg.a }}"}\n' + STEP, 1, "concurrency.group", 'unknown name "arg', ""),
    *[
        (f'schedule: [{{cron: "{cron}"}}]\n' + STEP, 1, "schedule[0].cron", message, "")
        for cron, message in [
            ("0 5 * * 8", 'field 5 "8" is outside 0-7'),
            ("60 * * * *", 'field 1 "60" is outside 0-59'),
            ("0 24 * * *", 'field 2 "24" is outside 0-23'),
            ("0 5 32 * *", 'field 3 "32" is outside 1-31'),
            ("0 5 0 * *", 'field 3 "0" is outside 1-31'),
            ("0 5 * 13 *", 'field 4 "13" is outside 1-12'),
            ("0 5 * 0 *", 'field 4 "0" is outside 1-12'),
            ("0 5 * NOV-FEB *", 'field 4 "NOV-FEB" has a range that ends before it begins'),
            ("* * * * * *", '"* * * * * *" has 6 fields; write minute, hour, day, month and weekday'),
            ("0 5 * *", '"0 5 * *" has 4 fields;'),
            ("5", '"5" has 1 field;'),
            ("0 5 *", '"0 5 *" has 3 fields;'),
            ("@every 1s", '"@every 1s" is not known; use five fields'),
            ("0 5-3 * * *", 'field 2 "5-3" has a range that ends before it begins'),
            ("*/0 * * * *", 'field 1 "*/0" has a step outside 1-59'),
            ("0 5 * * ?", 'field 5 "?" is not a list of numbers'),
            ("0 5 * FOO *", 'field 4 "FOO" has "FOO", which is no number from 1 to 12'),
            ("0 0 31 2 *", '"0 0 31 2 *" never comes'),
        ]
    ],
    (
        'schedule: [{cron: "0 5 * * *", timezone: Europe/Berln}]\n' + STEP,
        1,
        "schedule[0].timezone",
        '"Europe/Berln" is not a time zone; did you mean "Europe/Berlin"?',
        "",
    ),
    (
        'schedule: [{cron: "0 5 * * *", overlap: drop}]\n' + STEP,
        1,
        "schedule[0].overlap",
        '"drop"; use skip, queue, allow or cancel_old',
        "",
    ),
    ("schedule: []\n" + STEP, 1, "schedule", "has no entries; at least 1 must be there", ""),
    ("envs: {KEY: {secret: S 3}}\n" + STEP, 1, "envs.KEY.secret", '"S 3" is no name of a secret', ""),
    ("args: {n: {type: integer, default: x}}\n" + STEP, 1, "args.n", 'must be an integer within 2^63, got "x"', ""),
    ("args: {n: {type: integer, default: 99, max: 64}}\n" + STEP, 1, "args.n", "99 is above max 64", ""),
    ("args: {n: {enum: [a, b], default: c}}\n" + STEP, 1, "args.n", '"c" is not one of a, b', ""),
    (step("nam: x"), 5, "steps[0].nam", 'unknown key "nam"', 'did you mean "name"?'),
    (step("type: daemon"), 5, "steps[0].type", '"daemon"; use job, service, approval or pipeline', ""),
    (step("type: pipeline"), 3, "steps[0]", 'step "build" has no pipeline', 'add "pipeline" with a name'),
    (step("pipeline: {name: a}"), 5, "steps[0].pipeline", 'step "build" is a job', "set type: pipeline"),
    (CALL + "    pipeline: {name: My Pipe}\n", 5, "steps[0].pipeline.name", '"My Pipe" is no name', "written out"),
    (CALL + "    pipeline: {name: test}\n", 5, "steps[0].pipeline.name", "calls itself never ends", "call another"),
    (CALL + "    pipeline: {name: a}\n    outputs: [b]\n", 6, "steps[0].outputs", '"build" runs a pipeline', ""),
    (CALL + '    pipeline: {name: a, args: {x: "${{ y }}"}}\n', 5, "steps[0].pipeline.args.x", 'name "y"', ""),
    (step("type: approval"), 3, "steps[0]", 'step "build" has no approval', 'add "approval"'),
    (step("approval: {message: a}"), 5, "steps[0].approval", 'step "build" is a job', "type: approval"),
    (APPROVAL + "    container: {image: a}\n", 6, "steps[0].container", '"build" is an approval', ""),
    (APPROVAL + "    on_failure: hold 5m\n", 6, "steps[0].on_failure", '"build" is an approval', ""),
    *[
        (APPROVAL.replace("go?", f"go?, allow: {allow}"), 5, f"steps[0].approval.allow{path}", message, hint)
        for allow, path, message, hint in (
            ("[mia]", "[0]", '"mia" is no role that may answer', "a user is user:NAME"),
            ("[admin, oprators]", "[1]", '"oprators" is no role', 'did you mean "operator"?'),
            ("[viewers]", "[0]", '"viewers" is no role', "a viewer may not approve by its role"),
            ('["user:"]', "[0]", '"user:" is no role', "user:NAME"),
            ('["${{ args.x }}"]', "[0]", "written out", "a role or a name"),
            (str(["admin"] * 51), "", "51 entries; 50 is the limit", "name a role"),
        )
    ],
    (step("lifetime: run"), 5, "steps[0].lifetime", 'lifetime is for services; step "build" is a job', ""),
    *[
        (
            step(f"{more}{key}"),
            line,
            f"steps[0].{key.partition(':')[0]}",
            "is for a service that stays up",
            "lifetime: node",
        )
        for key in ("instance: a", "strategy: recreate", "auto_revert: false")
        for more, line in (("", 5), ("type: service\n    lifetime: run\n    ", 7))
    ],
    (KEPT + "    instance: Arena\n", 7, "steps[0].instance", '"Arena" may use a-z', 'try "arena"'),
    (KEPT + "    instance: ${{ args.x }}\n", 7, "steps[0].instance", 'unknown name "args.x"', ""),
    (
        KEPT.replace("alpine}", 'alpine, ports: ["0:90", "0:53/udp", "5-7:5/udp", "8303:8303/udp"]}')
        + "    strategy: blue_green\n",
        6,
        "steps[0].container.ports[3]",
        'blue_green: "8303:8303/udp" can\'t be held by two',
        'write "0:8303/udp" for a free port',
    ),
    (
        KEPT.replace("alpine}", "alpine, gpus: all}") + "    strategy: blue_green\n",
        6,
        "steps[0].container.gpus",
        "blue_green: GPUs can't be held by two revisions at once",
        "write strategy: recreate",
    ),
    (step("strategy: {matrix: {a: [1]}}"), 5, "steps[0].strategy", "is recreate or blue_green; for a matrix", ""),
    (KEPT + "    strategy: rolling\n", 7, "steps[0].strategy", '"rolling"; use recreate or blue_green', ""),
    (KEPT + "    auto_revert: maybe\n", 7, "steps[0].auto_revert", "must be true or false", ""),
    (step("outputs: [a-b]"), 5, "steps[0].outputs[0]", '"a-b" may use letters', ""),
    (step("type: service\n    outputs: [a]"), 6, "steps[0].outputs", 'step "build" is a service', ""),
    (step("type: service\n    matrix: {a: [1]}"), 6, "steps[0].matrix", 'step "build" is a service', ""),
    (step("on_failure: wait 5m"), 5, "steps[0].on_failure", "write hold and a duration", ""),
    (step("on_failure: hold soon"), 5, "steps[0].on_failure", '"soon" is not a duration', ""),
    (step("artifacts: {upload: [a]}"), 5, "steps[0].artifacts", "is not supported yet", ""),
    (step("disconnect: {on_lost: wait}"), 5, "steps[0].disconnect", "is not supported yet", ""),
    (step("max_parallel: 2"), 5, "steps[0].max_parallel", "for a step with a matrix", "add a matrix"),
    (step("if: matrix.a == 1\n    matrix: {a: [1]}"), 5, "steps[0].if", '"matrix" is for the container', ""),
    (
        MATRIX + "        A: ${{ matrix.bots }}\n",
        8,
        "steps[0].container.environment.A",
        'name "matrix.bots"',
        '"matrix.bot"?',
    ),
    (
        OUTPUT.format(read="steps.build.outputs.digset"),
        7,
        "steps[1].if",
        'step "build" declares no output "digset"',
        'did you mean "digest"?',
    ),
    (
        OUTPUT.format(read='steps["build"].outputs["y"]'),
        7,
        "steps[1].if",
        'declares no output "y"',
        "known: digest",
    ),
    (step("node: {spread: rack, pack: rack}"), 5, "steps[0].node", "use either spread or pack", ""),
    (step("retry: {attempts: 0}"), 5, "steps[0].retry.attempts", "0; use 1 or more", ""),
    (step("retry: {attempts: 9223372036854775808}"), 5, "steps[0].retry.attempts", "beyond 2^63", ""),
    (step("retry: {attempts: 101}"), 5, "steps[0].retry.attempts", "101; use 100 or fewer", ""),
    *[
        (step(f"retry: {{factor: {factor}}}"), 5, "steps[0].retry.factor", "is not a factor from 1 to 100", "")
        for factor in ("0.9", "101", "true", "much")
    ],
    *[
        (step(f"{key}: ${{{{ args.x }}}}"), 5, f"steps[0].{key}", 'unknown name "args.x"', "")
        for key in ("node", "timeout", "priority")
    ],
    (
        step("container: {image: a, command: [a, '${{ args.x }}']}").replace("    container: {image: alpine}\n", ""),
        4,
        "steps[0].container.command[1]",
        'unknown name "args.x"',
        "",
    ),
    (MATRIX.replace("build", "b" * 59) + "        A: b\n", 3, "steps[0].name", "has at most 58 characters", ""),
    (
        step("type: service\n    lifetime: run").replace("{image", "{restart: always, image"),
        4,
        "steps[0].container.restart",
        "restart: always needs lifetime: node",
        "",
    ),
    (step("retry: {on: [fail]}"), 5, "steps[0].retry.on[0]", '"fail"; use failure, timeout', ""),
    (step("timeout: -5s"), 5, "steps[0].timeout", '"-5s" is not a duration', ""),
    (step("timeout: 999999d"), 5, "steps[0].timeout", "longer than the limit", ""),
    (step("needs: [biuld]"), 5, "steps[0].needs", '"biuld" is not a step', 'did you mean "build"?'),
    (step("needs: [build]"), 5, "steps[0].needs", "needs forms a cycle: build -> build", ""),
    (step("continue_on_error: maybe"), 5, "steps[0].continue_on_error", "must be true or false", ""),
    (step("if: args.mode"), 5, "steps[0].if", 'unknown name "args.mode"', ""),
    (step("if: arg.mode == 'x'"), 5, "steps[0].if", 'unknown name "arg"', 'did you mean "args.mode"?'),
    (step("if: 1 +"), 5, "steps[0].if", "is not an expression", ""),
    (step("if: nope()"), 5, "steps[0].if", 'unknown function "nope"', ""),
    (PORTS.format(name="gmae"), 9, "steps[1].container.environment.P", 'no port "gmae"', 'did you mean "game"?'),
    (
        PORTS.replace("ports: [", "ports: ['${{{{ args.x }}}}:9', ").format(name="gmae"),
        9,
        "steps[1].container.environment.P",
        'no port "gmae"',
        "game",
    ),
    (
        PORTS.format(name="game").replace("type: service", "type: job"),
        9,
        "steps[1].container.environment.P",
        "is no service",
        "type: service",
    ),
    (
        PORTS.format(name="game").replace("- name: b", "- name: b\n    needs: []"),
        10,
        "steps[1].container.environment.P",
        'unknown name "steps.server"',
        "",
    ),
    (step("if: steps.later.status == 'x'"), 5, "steps[0].if", 'unknown name "steps.later"', ""),
    (second("{name: build, container: {image: a}}"), 5, "steps[1].name", 'named "build" (lines 3, 5)', ""),
    (second(f"{{name: {'x' * 70}, container: {{image: a}}}}"), 5, "steps[1].name", "may use", f'try "{"x" * 63}"'),
    (second("{name: ö--_ü, container: {image: a}}"), 5, "steps[1].name", "may use", 'try "my-name"'),
    (second("{name: Bad_Name, container: {image: a}}"), 5, "steps[1].name", "may use", 'try "bad-name"'),
    (second("{name: other}"), 5, "steps[1]", 'step "other" has no container', ""),
    (second("{name: b, container: {image: a 12}}"), 5, "steps[1].container.image", '"a 12" is not an image name', ""),
    (second("{name: b, container: {image: ' '}}"), 5, "steps[1].container.image", '" " is not an image name', ""),
    (container("comand: x"), 6, "steps[0].container.comand", 'unknown key "comand"', 'did you mean "command"?'),
    (container("command: a\n      commands: b"), 4, "steps[0].container", "use either commands or command", ""),
    (container("pull_policy: often"), 6, "steps[0].container.pull_policy", '"often"; use always', ""),
    (container("volumes: [abc]"), 6, "steps[0].container.volumes[0]", '"abc" is not a volume', ""),
    (container("ports: [99999:80]"), 6, "steps[0].container.ports[0]", "port 99999 is above 65535", ""),
    (
        container("ports: [{target: 80, published: 80, same_number: true}]"),
        6,
        "steps[0].container.ports[0]",
        "same_number is for what outlives its run",
        "lifetime: node",
    ),
    (container("ports: [web]"), 6, "steps[0].container.ports[0]", '"web" is not a port', ""),
    (container("cap_add: [sys-nice]"), 6, "steps[0].container.cap_add[0]", "is not a capability", ""),
    (
        container("mem_limit: 4g"),
        6,
        "steps[0].container.mem_limit",
        'unknown key "mem_limit"',
        "limits: {memory: 512m}",
    ),
    (container("depends_on: [db]"), 6, "steps[0].container.depends_on", "unknown key", "needs: [db]"),
    (container("deploy: {replicas: 1}"), 6, "steps[0].container.deploy.replicas", "unknown key", "a step for each"),
    (container("ports: [{target: 80, x: 1}]"), 6, "steps[0].container.ports[0].x", "unknown key", "published"),
    (container("ports: [{published: 80}]"), 6, "steps[0].container.ports[0].target", "is missing", 'add "target"'),
    (container("ports: ['${P:-1}:80']"), 6, "steps[0].container.ports[0]", "is not a port", "${{ envs.NAME }}"),
    (container("volumes: [./data:/data]"), 6, "steps[0].container.volumes[0]", "is relative", "/srv/...:/data"),
    (container("volumes: ['${D:-./x}:/d']"), 6, "steps[0].container.volumes[0]", "is not a volume", "${{ envs.NAME }}"),
    (
        container("volumes: [{type: bind, source: ./x, target: /x}]"),
        6,
        "steps[0].container.volumes[0]",
        '"./x" is relative',
        "/srv/data",
    ),
    (
        container("volumes: [{type: bind, source: /x, target: /x, bind: {recursive: disabled}}]"),
        6,
        "steps[0].container.volumes[0].bind.recursive",
        "unknown key",
        "leave it out",
    ),
    (container("ports:"), 6, "steps[0].container.ports", "must be a list, got nothing", "remove the key"),
    (container("devices: [dri]"), 6, "steps[0].container.devices[0]", '"dri" is not a device', "/dev/HOST"),
    (container("network_mode: service:vpn"), 6, "steps[0].container.network_mode", "not supported", "leave"),
    (container("extra_hosts: {a: b}"), 6, "steps[0].container.extra_hosts", '"a:b" names no address', "10.0.0.7"),
    (container("restart: sometimes"), 6, "steps[0].container.restart", "use no, always, unless-stopped", ""),
    (
        container("restart: always"),
        6,
        "steps[0].container.restart",
        "restart: always is for services",
        "use retry for a job",
    ),
    (container("stop_signal: kill it"), 6, "steps[0].container.stop_signal", "is not a signal", ""),
    (container("shm_size: big"), 6, "steps[0].container.shm_size", '"big" is not a size', ""),
    (container("shm_size: -1"), 6, "steps[0].container.shm_size", "is negative", ""),
    (
        container("deploy: {resources: {limits: {memory: -5m}}}"),
        6,
        "steps[0].container.deploy.resources.limits.memory",
        "-5m is negative; use 0 or more",
        "",
    ),
    (
        container("deploy: {resources: {limits: {cpus: -1}}}"),
        6,
        "steps[0].container.deploy.resources.limits.cpus",
        "outside 0.01",
        "",
    ),
    (
        container("deploy: {resources: {limits: {pids: 0}}}"),
        6,
        "steps[0].container.deploy.resources.limits.pids",
        "0 is below 1",
        "",
    ),
    (container("healthcheck: {test: [RUN, a]}"), 6, "steps[0].container.healthcheck.test", "CMD-SHELL", ""),
    (
        container("commands: [\"echo '${{ run.id }}'\"]"),
        6,
        "steps[0].container.commands[0]",
        "stands in single quotes",
        "use double quotes",
    ),
    (container("hostname: ${{ run.id }"), 6, "steps[0].container.hostname", 'has "${{" without "}}"', ""),
    (
        STEP + "finally:\n  - {name: end, needs: [build], container: {image: a}}\n",
        6,
        "finally[0].needs",
        '"build" is not a finally step',
        "",
    ),
    (
        STEP + "  - {name: b, needs: [end], container: {image: a}}\nfinally:\n  - {name: end, container: {image: a}}\n",
        5,
        "steps[1].needs",
        "finally steps cannot be needed",
        "",
    ),
]
