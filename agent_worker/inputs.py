"""The inputs of deliveries, as the codec of the client has found them (``gamekeeper.temporal.signed_inputs``)."""

from gamekeeper.temporal import signed_inputs


class SignedInputs:
    def refusal(self) -> str:
        return signed_inputs.refusal()
