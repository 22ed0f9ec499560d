"""Names of workflow types. They stand in recorded histories and in schedules, so they outlive the classes' names."""

RUN = "PipelineWorkflow"
INSTANCE = "InstanceWorkflow"
INSTANCE_SCHEDULE = "InstanceScheduleWorkflow"
SCHEDULED_RUN = "ScheduledRunWorkflow"
NOTIFICATION = "NotificationWorkflow"

ALL = (RUN, INSTANCE, INSTANCE_SCHEDULE, SCHEDULED_RUN, NOTIFICATION)
