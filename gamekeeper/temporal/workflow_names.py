"""Names of workflow types. They stand in recorded histories and in schedules, so they outlive the classes' names."""

RUN = "PipelineWorkflow"
SCHEDULED_RUN = "ScheduledRunWorkflow"
