"""The kinds of events. A kind is a line here with its meaning; ``docs/events.md`` is written from these lines.

A kind is ``<subject>.<what>``. Runs, steps, containers and nodes have a kind for each of their states, so that a reader
of the log sees every change without knowing who makes it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class EventKind(StrEnum):
    """A new kind needs one line: the name, the value, the meaning. Then run ``make pages``."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    NODE_CREATED = "node.created", "A user made the node."
    NODE_EDITED = "node.edited", "A user changed the node; `data` has the old and the new value of each field."
    NODE_REMOVED = "node.removed", "A user removed the node; reason `forced` when it had live steps or services."
    NODE_DRAINING = "node.draining", "A user drains the node: nothing new, and disabled when its steps have ended."
    NODE_DRAINED = "node.drained", "The drain is over, and the node disabled; the reason is `empty` or `deadline`."
    NODE_TOKEN_MADE = "node.token_made", "A user made an enrolment token."
    NODE_REGISTERED = (
        "node.registered",
        "An agent joined by an enrolment token or a join key; older keys and certificates of the node are void.",
    )
    NODE_REVOKED = "node.revoked", "A user revoked the node's key and certificates; it needs a new enrolment token."
    NODE_JOIN_KEY_MADE = "node.join_key_made", "A user made a join key; the message names it."
    NODE_JOIN_KEY_REVOKED = "node.join_key_revoked", "A user revoked a join key: it lets no further machine in."
    NODE_JOIN_WAITING = "node.join_waiting", "A machine brought a join key, and waits until a user approves it."
    NODE_JOIN_APPROVED = "node.join_approved", "A user approved a waiting machine, which is that node from now on."
    NODE_JOIN_REFUSED = "node.join_refused", "A user refused a waiting machine; the message is their reason."
    NODE_JOIN_EXPIRED = "node.join_expired", "Nobody decided on a waiting machine in a day."
    NODE_JOIN_REMOVED = "node.join_removed", "A user took a machine off the list of those that are to join."
    NODE_SESSION_OPENED = "node.session_opened", "An agent connected; `data` has its epoch and version."
    NODE_SUPERSEDED = "node.superseded", "A newer session of the same agent took the place of an open one."
    NODE_AGENT_REFUSED = "node.agent_refused", "A second agent with the node's key was turned away."
    NODE_ONLINE = "node.online", "The node is there, for the first time or again."
    NODE_SUSPECT = "node.suspect", "A heartbeat of the node is late."
    NODE_OFFLINE = "node.offline", "The node was silent for a whole lease."
    NODE_INVENTORY_CHANGED = (
        "node.inventory_changed",
        "The machine differs from its last report; the message says where.",
    )
    NODE_CONDITION_RAISED = "node.condition_raised", "Something is wrong with the node; the reason names the condition."
    NODE_CONDITION_CLEARED = "node.condition_cleared", "A condition of the node is over."
    NODE_EVENTS_DROPPED = (
        "node.events_dropped",
        "What the node told by itself was more than is kept; its oldest events are gone, `data` has how many.",
    )

    RUN_QUEUED = "run.queued", "The run was accepted, and waits."
    RUN_RUNNING = "run.running", "Steps of the run go on, for the first time or after a pause."
    RUN_PAUSED = "run.paused", "The run starts no further step until it is resumed."
    RUN_SUCCEEDED = "run.succeeded", "The run ended well."
    RUN_FAILED = "run.failed", "The run ended with a step that failed."
    RUN_CANCELED = "run.canceled", "The run ended because a user or a newer run asked for it."
    RUN_CANCEL_REQUESTED = "run.cancel_requested", "A user, or a newer run of its group, asked the run to end."
    RUN_STUCK = "run.stuck", "The control worker fails at the run again and again; it goes on trying."
    RUN_LOGS_CUT = "run.logs_cut", "The logs of the run are over their quota: lines from here on are not kept."
    RUN_PAUSE_REQUESTED = "run.pause_requested", "A user asked the run to pause."
    RUN_RESUME_REQUESTED = "run.resume_requested", "A user asked the run to go on."

    STEP_PENDING = "step.pending", "The step waits for others again, before a new try."
    STEP_WAITING_NODE = "step.waiting_node", "The step may start, but its node can't take it now."
    STEP_PULLING = "step.pulling", "The node gets the step's image."
    STEP_STARTING = "step.starting", "The step was given to its node."
    STEP_RUNNING = "step.running", "The step's container runs; an approval waits for its answer."
    STEP_HELD = "step.held", "The step failed, and waits for a user to decide."
    STEP_SUCCEEDED = "step.succeeded", "The step ended well, or its service is healthy."
    STEP_FAILED = "step.failed", "The step ended with a failure of its own."
    STEP_ERROR = "step.error", "The step ended because it could not be run."
    STEP_CANCELED = "step.canceled", "The step was stopped on request."
    STEP_SKIPPED = "step.skipped", "The step was left out; the reason says why."
    STEP_CANCEL_REQUESTED = "step.cancel_requested", "A user asked this one step to end."
    STEP_APPROVED = "step.approved", "A user approved; the message is their comment."
    STEP_REJECTED = "step.rejected", "A user rejected; the message is their comment."
    STEP_HOLD_ANSWERED = "step.hold_answered", "A user decided what becomes of a held step; the message says what."
    STEP_CONSOLE_OPENED = "step.console_opened", "A user opened a console; the message is the command."
    STEP_CONSOLE_CLOSED = "step.console_closed", "The console ended; the message says how."

    CONTAINER_CREATED = "container.created", "The container exists and has not been started."
    CONTAINER_RUNNING = "container.running", "The container runs."
    CONTAINER_PAUSED = "container.paused", "Somebody paused the container."
    CONTAINER_RESTARTING = "container.restarting", "Docker Engine starts the container again by its restart policy."
    CONTAINER_REMOVING = "container.removing", "Docker Engine is removing the container."
    CONTAINER_EXITED = "container.exited", "The container ended; `data` has its exit code."
    CONTAINER_DEAD = "container.dead", "Docker Engine could not remove the container whole."
    CONTAINER_CHANGED = "container.changed", "The container is in a state that has no kind; the message names it."
    CONTAINER_HEALTH_CHANGED = "container.health_changed", "The health check of the container says something else."
    CONTAINER_RESTARTED = (
        "container.restarted",
        "Docker Engine started the container again; `data` has how often in all, and the exit code before.",
    )
    CONTAINER_STUCK = "container.stuck", "The container can't be removed and is tried again; the message says why."
    CONTAINER_REMOVED = "container.removed", "The container is gone, after the outcome of its step was known."
    CONTAINER_MISSING = "container.missing", "The container is gone, and its step has not ended."
    CONTAINER_UNKNOWN = "container.unknown", "No step of the node owns the container."

    INSTANCE_CREATED = "instance.created", "A user or a run made the instance; the message says by what."
    INSTANCE_EDITED = (
        "instance.edited",
        "A user changed the instance; `data` has the old and the new value of each field.",
    )
    INSTANCE_REVISION_MADE = "instance.revision_made", "The instance has a new revision; `data` has its number."
    INSTANCE_ASKED = "instance.asked", "Somebody asked for a power action; the message names it, the reason is theirs."
    INSTANCE_REVERTED = "instance.reverted", "A new revision did not get ready; the one before takes its place again."
    INSTANCE_UNKNOWN = "instance.unknown", "A node keeps an instance that the control plane does not have."
    INSTANCE_DIFFERS = "instance.differs", "Node and control plane had different orders; the newer one was given again."
    INSTANCE_SCHEDULE_SET = (
        "instance.schedule_set",
        "A user gave the instance a schedule, or changed it; the message has its times and what it does.",
    )
    INSTANCE_SCHEDULE_REMOVED = "instance.schedule_removed", "A user removed a schedule of the instance."
    INSTANCE_SCHEDULE_PAUSED = "instance.schedule_paused", "A user paused a schedule; the message has their note."
    INSTANCE_SCHEDULE_RESUMED = "instance.schedule_resumed", "A user resumed a schedule of the instance."
    INSTANCE_SCHEDULE_TRIGGERED = "instance.schedule_triggered", "A user had a schedule do its work out of turn."
    INSTANCE_SCHEDULE_FIRED = (
        "instance.schedule_fired",
        "A time of a schedule came, and what it does has ended; the reason is the outcome: `done`, `skipped`, `busy` "
        "or `failed`.",
    )
    INSTANCE_SCHEDULE_MISSED = (
        "instance.schedule_missed",
        "Times of a schedule passed and nothing was done; `data` lists the newest.",
    )
    INSTANCE_CONSOLE_OPENED = "instance.console_opened", "A user opened a console; the message is the command."
    INSTANCE_CONSOLE_CLOSED = "instance.console_closed", "The console ended; the message says how."
    INSTANCE_CREATING = "instance.creating", "The instance waits for its node."
    INSTANCE_PREPARING = "instance.preparing", "The node gets the instance's image."
    INSTANCE_STARTING = "instance.starting", "The instance's process runs and is not ready."
    INSTANCE_READY = "instance.ready", "The instance is ready."
    INSTANCE_RESTARTING = "instance.restarting", "The process ended; it is started again, the message says when."
    INSTANCE_STOPPING = "instance.stopping", "The instance is asked to end; the message names the rung of the ladder."
    INSTANCE_STOPPED = "instance.stopped", "The instance does not run."
    INSTANCE_CRASH_LOOP = "instance.crash_loop", "The process ended too often; the message has its last lines."
    INSTANCE_FAILED = "instance.failed", "The instance can't be started; the message says why."
    INSTANCE_DELETING = "instance.deleting", "The instance and its containers are being removed."
    INSTANCE_DELETED = "instance.deleted", "The instance is gone."

    SERVER_DISK_LOW = "server.disk_low", "A disk of the server is nearly full: logs and new work are not taken."
    SERVER_DISK_FREE = "server.disk_free", "The disks of the server have room again."

    PROCESS_REPLACED = (
        "process.replaced",
        "A process of the stack did not answer, and its supervisor put a new one in its place; `data` names it.",
    )

    KEY_MADE = "key.made", "A user made an API key, or a start of the api was given one; the message is its name."
    KEY_ROTATED = "key.rotated", "A user gave an API key a new secret; `data` has the end of its earlier ones."
    KEY_REVOKED = "key.revoked", "A user revoked an API key: what goes on by it ends within seconds."

    SECRET_SET = (
        "secret.set",
        "A user gave a secret a value, a scope or a description; `data` has the fields that are new, never the value.",
    )
    SECRET_DELETED = "secret.deleted", "A user removed a secret, or one version of it; `data` has the version's number."
    SECRET_KEY_ROTATED = "secret.key_rotated", "Secrets have a new master key; `data` has its id."
    SECRET_READ = (
        "secret.read",
        "Values of secrets were given to a step or an instance; `data` names them, once a minute for each user.",
    )
    USER_MADE = "user.made", "A user made a user, whose name is the message; `data` has its kind and its role."
    USER_CHANGED = (
        "user.changed",
        "A user changed a user, whose name is the message; `data` has what was before and after, or what was replaced.",
    )
    USER_REMOVED = "user.removed", "A user removed a user, with its keys and sessions; the message is its name."
    USER_RECOVERED = (
        "user.recovered",
        "Somebody on the machine of the stack gave a user a new one-time password; `data` says what else was undone.",
    )
    USER_LINKED = (
        "user.linked",
        "An admin linked a user to somebody whom the OpenID provider knows; `data` has issuer and subject.",
    )
    USER_UNLINKED = "user.unlinked", "An admin undid such a link."
    SESSION_BEGUN = "session.begun", "A user signed in; `data` has the session, how, and from which address."
    SESSION_ENDED = "session.ended", "A session was ended before it ran out; the reason says by what."
    SIGN_IN_LINK_MADE = "sign_in.link_made", "An admin made a link that signs a user in once; the message is its name."
    SIGN_IN_FAILED = (
        "sign_in.failed",
        "Somebody brought a wrong password or code, or came by the OpenID provider and was not let in, as the reason "
        "tells; `data` has the address, and the message the user, where there is one. A few of many are told.",
    )
    PASSKEY_ADDED = "passkey.added", "A user added a passkey, by which it signs in; the message is the passkey's name."
    PASSKEY_RENAMED = "passkey.renamed", "A user gave a passkey another name; `data` has both."
    PASSKEY_REMOVED = (
        "passkey.removed",
        "A passkey opens nothing more; `data` has the user whose it was, and whoever removed it is the actor.",
    )
    PAYLOAD_KEY_MADE = (
        "payload_key.made",
        "A user made a new key for Temporal's payloads; `data` has the time from which it encrypts.",
    )
    PAYLOAD_KEY_DROPPED = "payload_key.dropped", "A user dropped a payload key that no history needs any more."
    PAYLOAD_KEY_GIVEN_UP = "payload_key.given_up", "A user gave a payload key up: what it encrypted is lost."
    GRANT_MADE = "grant.made", "A user made a grant; `data` has it, and all grants of its holder before and after."
    GRANT_REMOVED = "grant.removed", "A user removed a grant; `data` has all grants of its holder before and after."
    QUOTA_CHANGED = (
        "quota.changed",
        "A user set limits for the user or the key whose name is the message; `data` has all of them before and after.",
    )

    ALARM_RAISED = "alarm.raised", "An alarm was raised; `data` has its id, its rule and its severity."
    ALARM_CLEARED = "alarm.cleared", "An alarm is over; the reason says how: `cleared`, `gone`, `rule` or `expired`."
    ALARM_ACKNOWLEDGED = "alarm.acknowledged", "A user has taken an alarm on; the message is their note."
    ALARM_CLOSED = "alarm.closed", "A user closed an alarm; the message is their reason."
    ALARM_SILENCED = "alarm.silenced", "A user made a silence; the message has its end and its reason."
    ALARM_SILENCE_ENDED = "alarm.silence_ended", "A user ended a silence before its time."
    ALARM_WINDOW_SET = "alarm.window_set", "A user made a maintenance window, or changed it; the message is its name."
    ALARM_WINDOW_REMOVED = "alarm.window_removed", "A user removed a maintenance window; the message is its name."
    ALARM_RULE_SET = "alarm_rule.set", "A user made a rule of alarms, or changed it; `data` has what was before."
    ALARM_RULE_REMOVED = (
        "alarm_rule.removed",
        "A user removed a rule of alarms, or took a change of a default one back.",
    )
    ALARM_CHANNEL_SET = "alarm_channel.set", "A user made a channel, or changed it; `data` has the fields, no secret."
    ALARM_CHANNEL_REMOVED = "alarm_channel.removed", "A user removed a channel; the message is its name."
    ALARM_CHANNEL_FAILED = (
        "alarm_channel.failed",
        "A message could not be brought to a channel and is given up; the message says why.",
    )

    CA_ROTATED = "ca.rotated", "A user rotated the CA; `data` has the new root's pin and the end of the overlap."

    PIPELINE_STORED = "pipeline.stored", "A user stored a new version of a pipeline."
    PIPELINE_DELETED = "pipeline.deleted", "A user deleted all versions of a pipeline."

    SCHEDULE_CREATED = "schedule.created", "A schedule begins."
    SCHEDULE_CHANGED = "schedule.changed", "A schedule has new times, or starts its runs otherwise."
    SCHEDULE_DELETED = "schedule.deleted", "A schedule ended; the runs that it started go on."
    SCHEDULE_PAUSED = "schedule.paused", "A user paused a schedule; the message is their note."
    SCHEDULE_RESUMED = "schedule.resumed", "A user resumed a schedule."
    SCHEDULE_TRIGGERED = "schedule.triggered", "A user started one run of a schedule out of turn."
    SCHEDULE_BACKFILLED = "schedule.backfilled", "A user made up for times of the past; the message says how many."
    SCHEDULE_REFUSED = "schedule.refused", "A schedule could not start its run; the message says why."

    @property
    def subject(self) -> str:
        return self.value.partition(".")[0]

    @classmethod
    def of(cls, subject: str, state: str) -> EventKind:
        """The kind that tells of a state. Raises ValueError for a state that has none."""
        return cls(f"{subject}.{state}")

    @classmethod
    def of_container(cls, status: str) -> EventKind:
        """The kind that tells of a container's status. Agents pass on what their engine says, which may be anything."""
        return cls.of("container", status) if status in _CONTAINER_STATES else cls.CONTAINER_CHANGED


_CONTAINER_STATES = frozenset({"created", "running", "paused", "restarting", "removing", "exited", "dead"})
SUBJECTS = tuple(dict.fromkeys(kind.subject for kind in EventKind))
