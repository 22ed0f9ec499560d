"""An example or more of each command, for its help. A test reads them as the command does."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, str] = {
    "run": """
gamekeeper run deploy.yaml --node gpu-01 --follow
gamekeeper run deploy@3 --arg map=dm1 --arg 'modes=["ctf", "dm"]'
generate-pipeline | gamekeeper run - --dry-run
""",
    "up": """
gamekeeper up --detach
gamekeeper up --host 0.0.0.0 --node gpu-01
""",
    "down": "gamekeeper down",
    "status": """
gamekeeper status
gamekeeper status --json
""",
    "agent": """
gamekeeper agent --server 192.0.2.10 --token -
gamekeeper agent --server 192.0.2.10:7380 --token-file join.key --policy policy.yaml
""",
    "events": """
gamekeeper events --kind node --node gpu-01
gamekeeper events -f --kind run.failed --json
""",
    "node ls": """
gamekeeper node ls --status offline
gamekeeper node ls --label pool=arena --json
""",
    "node show": "gamekeeper node show gpu-01",
    "node add": "gamekeeper node add gpu-01 --location 'rack 4' --label pool=arena",
    "node edit": "gamekeeper node edit gpu-01 --mode maintenance",
    "node rm": "gamekeeper node rm gpu-01",
    "node enrol": "gamekeeper node enrol gpu-01 --minutes 30",
    "node revoke": "gamekeeper node revoke gpu-01",
    "join-key make": """
gamekeeper join-key make
gamekeeper join-key make --uses 6 --name 'arena-{n}' --label pool=arena --approve
""",
    "join-key ls": "gamekeeper join-key ls",
    "join-key rm": "gamekeeper join-key rm 3f2a91bc",
    "joins ls": "gamekeeper joins ls --all",
    "joins approve": "gamekeeper joins approve 3f2a-91bc-7d10-44e9 --node gpu-01",
    "joins refuse": "gamekeeper joins refuse 3f2a-91bc-7d10-44e9 --message 'not one of ours'",
    "joins rm": "gamekeeper joins rm 3f2a-91bc-7d10-44e9",
    "ca show": "gamekeeper ca show",
    "ca rotate": "gamekeeper ca rotate --overlap 60",
    "runs ls": """
gamekeeper runs ls --waiting
gamekeeper runs ls --pipeline deploy --state failed --label stage=live --json
""",
    "runs show": "gamekeeper runs show 6b0b067adb268570",
    "runs wait": "gamekeeper runs wait 6b0b067adb268570 && echo done",
    "runs logs": """
gamekeeper runs logs 6b0b067adb268570 build --tail 100
gamekeeper runs logs -f 6b0b067adb268570
gamekeeper runs logs 6b0b067adb268570 --since 10m -t
""",
    "runs exec": "gamekeeper runs exec 6b0b067adb268570 server -- sh",
    "runs attach": "gamekeeper runs attach 6b0b067adb268570 server",
    "runs cancel": """
gamekeeper runs cancel 6b0b067adb268570 --reason 'wrong map'
gamekeeper runs cancel 6b0b067adb268570 --step build
""",
    "runs pause": "gamekeeper runs pause 6b0b067adb268570",
    "runs resume": "gamekeeper runs resume 6b0b067adb268570",
    "runs approve": "gamekeeper runs approve 6b0b067adb268570 go-live -m 'looks good'",
    "runs reject": "gamekeeper runs reject 6b0b067adb268570 go-live -m 'not tonight'",
    "runs retry": "gamekeeper runs retry 6b0b067adb268570 build",
    "runs skip": "gamekeeper runs skip 6b0b067adb268570 build",
    "runs fail": "gamekeeper runs fail 6b0b067adb268570 build",
    "runs queue": "gamekeeper runs queue deploys",
    "runs rerun": """
gamekeeper runs rerun 6b0b067adb268570 --follow
gamekeeper runs rerun 6b0b067adb268570 --from build --arg map=dm1
""",
    "pipeline validate": """
gamekeeper pipeline validate deploy.yaml
generate-pipeline | gamekeeper pipeline validate - --json
""",
    "pipeline push": "gamekeeper pipeline push deploy.yaml",
    "pipeline ls": "gamekeeper pipeline ls",
    "pipeline show": "gamekeeper pipeline show deploy@3",
    "pipeline versions": "gamekeeper pipeline versions deploy",
    "pipeline diff": "gamekeeper pipeline diff deploy 2 3",
    "pipeline rm": "gamekeeper pipeline rm deploy",
    "pipeline graph": "gamekeeper pipeline graph deploy.yaml",
    "schedule apply": "gamekeeper schedule apply backup --node gpu-01 --arg keep=7",
    "schedule ls": "gamekeeper schedule ls",
    "schedule show": "gamekeeper schedule show backup-1",
    "schedule pause": "gamekeeper schedule pause backup-1 -m 'moving disks'",
    "schedule resume": "gamekeeper schedule resume backup-1",
    "schedule trigger": "gamekeeper schedule trigger backup-1",
    "schedule backfill": "gamekeeper schedule backfill backup-1 --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z",
    "schedule rm": "gamekeeper schedule rm backup-1",
}
