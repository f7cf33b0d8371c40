class SsrError(Exception):
    exit_code=70
    def __init__(self, message, hint):
        super().__init__(message); self.message=message; self.hint=hint
class InputError(SsrError):
    exit_code=3
