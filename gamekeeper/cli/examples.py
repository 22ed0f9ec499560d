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
    "agent policy check": """
gamekeeper agent policy check policy.yaml
""",
    "agent policy explain": """
gamekeeper agent policy explain policy.yaml deploy.yaml
gamekeeper agent policy explain policy.yaml arena.yaml --instance arena
""",
    "events": """
gamekeeper events --kind node --node gpu-01
gamekeeper events -f --kind run.failed --json
""",
    "audit": """
gamekeeper audit --since 30d --format csv
gamekeeper audit --actor key:ci --kind instance
""",
    "login": """
gamekeeper login
gamekeeper login --server https://192.0.2.10:7380 --pin PIN --as home mia
gamekeeper login --server https://play.example.org --oidc
pass show gamekeeper | gamekeeper login --password-stdin mia
""",
    "logout": "gamekeeper logout",
    "whoami": "gamekeeper whoami",
    "user ls": "gamekeeper user ls",
    "user make": """
gamekeeper user make mia --role operator --called 'Mia, at night'
gamekeeper user make backup --service --role viewer
""",
    "user show": "gamekeeper user show mia",
    "user edit": "gamekeeper user edit mia --role developer",
    "user disable": "gamekeeper user disable mia",
    "user enable": "gamekeeper user enable mia",
    "user rm": "gamekeeper user rm mia",
    "user password": """
gamekeeper user password
gamekeeper user password mia --remove-totp
""",
    "user quota": """
gamekeeper user quota mia --instances 3 --cpus 4 --memory 8g --ports 6
gamekeeper user quota mia --ports none
gamekeeper user quota mia
""",
    "user totp on": "gamekeeper user totp on",
    "user totp off": "gamekeeper user totp off",
    "user totp codes": "gamekeeper user totp codes",
    "user passkey ls": """
gamekeeper user passkey ls
gamekeeper user passkey ls --user mia
""",
    "user passkey rm": """
gamekeeper user passkey rm phone
gamekeeper user passkey rm --user mia --all
""",
    "user link": """
gamekeeper user link
gamekeeper user link mia --page /instances
""",
    "user recover": """
gamekeeper user recover
gamekeeper user recover --remove-totp admin
""",
    "identity ls": "gamekeeper identity ls mia",
    "identity link": "gamekeeper identity link mia 248289761001",
    "identity unlink": "gamekeeper identity unlink mia 3e9a41c07b5d2f86",
    "session ls": """
gamekeeper session ls
gamekeeper session ls --all --ended
""",
    "session end": "gamekeeper session end 5b1f0c2a9d3e4f60",
    "context ls": "gamekeeper context ls",
    "context use": """
gamekeeper context use home
gamekeeper context use none
""",
    "context rm": "gamekeeper context rm home",
    "instance ls": """
gamekeeper instance ls --state crash_loop
gamekeeper instance ls --node gpu-01 --label game=arena --json
""",
    "instance show": "gamekeeper instance show arena",
    "instance create": """
gamekeeper instance create arena --image arena:1 -p 8303:8303/udp -e SV_MAP=dm1 -v data:/data --memory 2g --cpus 1.5
gamekeeper instance create arena --image arena:1 --node gpu-01 --stop-command shutdown -- ./arena_srv +map dm1
gamekeeper instance create -f arena.yaml
generate-instance | gamekeeper instance create arena-2 -f - --no-wait
""",
    "instance start": "gamekeeper instance start arena",
    "instance stop": "gamekeeper instance stop arena --reason 'moving disks'",
    "instance restart": "gamekeeper instance restart arena",
    "instance kill": "gamekeeper instance kill arena",
    "instance update": """
gamekeeper instance update arena --image arena:2
gamekeeper instance update arena -e SV_MAP=ctf1 --no-auto-revert
gamekeeper instance update arena -f arena.yaml
""",
    "instance rollback": """
gamekeeper instance rollback arena
gamekeeper instance rollback arena 3
""",
    "instance revisions": """
gamekeeper instance revisions arena
gamekeeper instance revisions arena 3 --diff 1
""",
    "instance edit": """
gamekeeper instance edit arena --name 'Arena of the clan' --label season=3 --expires 7d
gamekeeper instance edit arena --pipeline deploy-arena
""",
    "instance logs": """
gamekeeper instance logs arena --tail 100
gamekeeper instance logs -f arena --since 10m
""",
    "instance console": "gamekeeper instance console arena",
    "instance exec": "gamekeeper instance exec arena -- sh",
    "instance wait": "gamekeeper instance wait arena && echo ready",
    "instance schedule ls": "gamekeeper instance schedule ls arena",
    "instance schedule show": "gamekeeper instance schedule show arena nightly",
    "instance schedule set": """
gamekeeper instance schedule set arena nightly --cron '0 5 * * *' --timezone Europe/Berlin --action restart
gamekeeper instance schedule set arena warn --cron '55 4 * * *' --timezone Europe/Berlin --command 'say restart soon'
""",
    "instance schedule pause": "gamekeeper instance schedule pause arena nightly -m tournament",
    "instance schedule resume": "gamekeeper instance schedule resume arena nightly",
    "instance schedule trigger": "gamekeeper instance schedule trigger arena warn",
    "instance schedule rm": "gamekeeper instance schedule rm arena nightly",
    "instance top": """
gamekeeper instance top
gamekeeper instance top --once --json
""",
    "instance events": """
gamekeeper instance events arena
gamekeeper instance events arena -f
""",
    "instance rm": """
gamekeeper instance rm arena
gamekeeper instance rm arena --volumes --yes
""",
    "node ls": """
gamekeeper node ls --status offline
gamekeeper node ls --label pool=arena --json
""",
    "node show": "gamekeeper node show gpu-01",
    "node add": "gamekeeper node add gpu-01 --location 'rack 4' --label pool=arena",
    "node edit": """
gamekeeper node edit gpu-01 --mode maintenance
gamekeeper node edit gpu-01 --capacity cpus=12 --capacity port_first=27000 --capacity port_last=27999
""",
    "node rm": "gamekeeper node rm gpu-01",
    "node fit": "gamekeeper node fit -f arena.yaml",
    "node cordon": "gamekeeper node cordon gpu-01",
    "node uncordon": "gamekeeper node uncordon gpu-01",
    "node drain": "gamekeeper node drain gpu-01 --deadline 30m",
    "node enrol": "gamekeeper node enrol gpu-01 --minutes 30",
    "node revoke": "gamekeeper node revoke gpu-01",
    "key ls": "gamekeeper key ls",
    "key make": """
gamekeeper key make ci --expires-in 90d
gamekeeper key make laptop --user me
""",
    "alarm ls": "gamekeeper alarm ls --state closed --node eu-1",
    "alarm show": "gamekeeper alarm show 9f2c61d07ab3e854",
    "alarm ack": "gamekeeper alarm ack 9f2c61d07ab3e854 -m 'I look at it'",
    "alarm silence": "gamekeeper alarm silence 9f2c61d07ab3e854 --for 4h -m 'a new disk is on its way'",
    "alarm close": "gamekeeper alarm close 9f2c61d07ab3e854 -m 'of no matter'",
    "alarm rules": "gamekeeper alarm rules",
    "alarm rule": "gamekeeper alarm rule node-offline",
    "alarm set-rule": "gamekeeper alarm set-rule node-offline node-offline.yaml",
    "alarm rm-rule": "gamekeeper alarm rm-rule node-offline",
    "channel set": """
gamekeeper channel set on-call --severity critical
gamekeeper channel set boss --after 15m --url-file boss.url
gamekeeper channel set staff --type mail --to ops@example.org --sender gamekeeper@example.org
""",
    "channel ls": "gamekeeper channel ls",
    "channel show": "gamekeeper channel show on-call",
    "channel test": "gamekeeper channel test on-call",
    "channel deliveries": "gamekeeper channel deliveries on-call",
    "channel rm": "gamekeeper channel rm on-call",
    "silence make": "gamekeeper silence make --on node --label pool=eu --for 4h -m 'new switches'",
    "silence ls": "gamekeeper silence ls",
    "silence end": "gamekeeper silence end 5b0c77e1d2a94f03",
    "window set": "gamekeeper window set updates --on node --label pool=eu --cron '0 4 * * TUE' --for 2h",
    "window ls": "gamekeeper window ls",
    "window rm": "gamekeeper window rm updates",
    "grant make": """
gamekeeper grant make key:ci --role operator --on instance --label team=blue --expires-in 30d
gamekeeper grant make anna --verb see --verb logs --on pipeline --id 'deploy-*'
gamekeeper grant make anna --role developer --on instance --own
""",
    "grant ls": "gamekeeper grant ls --holder key:ci",
    "grant show": "gamekeeper grant show 5d0c1f9a33c1",
    "grant rm": "gamekeeper grant rm 5d0c1f9a33c1",
    "key show": "gamekeeper key show ci",
    "key revoke": "gamekeeper key revoke 3f2a91bc",
    "key rotate": """
gamekeeper key rotate
gamekeeper key rotate ci --overlap 0s
""",
    "key quota": """
gamekeeper key quota customer --instances 1 --memory 4g
gamekeeper key quota customer
""",
    "secret set": """
gamekeeper secret set s3-key --pipeline 'deploy-*' --node 'edge-*'
printf %s "$TOKEN" | gamekeeper secret set registry-token --all
gamekeeper secret set tls.key --from-file tls.key --instance lobby
gamekeeper secret set db-password --vault team/database#password --pipeline deploy
""",
    "secret scope": """
gamekeeper secret scope s3-key --pipeline deploy --label pool=arena
gamekeeper secret scope s3-key --nobody
""",
    "secret ls": "gamekeeper secret ls",
    "secret show": "gamekeeper secret show s3-key",
    "secret restore": "gamekeeper secret restore s3-key 2",
    "secret destroy": "gamekeeper secret destroy s3-key 2",
    "secret rm": "gamekeeper secret rm s3-key",
    "secret rotate-key": "gamekeeper secret rotate-key",
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
    "payload-key ls": "gamekeeper payload-key ls --json",
    "payload-key rotate": "gamekeeper payload-key rotate --delay 600",
    "payload-key drop": "gamekeeper payload-key drop 20261130-0f9a33c1",
    "payload-key give-up": "gamekeeper payload-key give-up 20261130-0f9a33c1 --yes",
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
