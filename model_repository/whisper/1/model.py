"""Triton's door: requests become jobs, results become responses, one for each request, and nothing else."""

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from decode import Decoder
from faults import faults_of
from jobs import Job
from layout import Layout, choose_layout
from meters import Meters
from options import Options, RequestError, parse_options
from place import RETIRED_AFTER_S, Place
from warmup import warm_up
from workers import Workers

OVERRIDES = ("weights", "hang_limit_s", "retired_after_s", *(field.name for field in fields(Layout)))

INVALID = {"invalid_parameter", "unsupported_parameter", "unsupported_language", "prompt_too_long", "audio_too_long"}


class TritonPythonModel:
    """Whisper as Triton sees it. `execute` hands over and returns, so that Triton can form the next batch meanwhile."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the weights, warm up, start the workers."""
        config = json.loads(args["model_config"])
        overrides = _overrides(config)
        weights = overrides.get("weights") or str(Path(os.environ["TRITONE_WEIGHTS_DIR"]) / args["model_name"])
        layout = choose_layout(overrides, device_index=int(args["model_instance_device_id"] or 0))
        pb_utils.Logger.log_info(f"tritone: {args['model_name']}: {layout}")
        self._decoder = Decoder(Path(weights), layout)
        warm_up(self._decoder, layout)
        self._faults = faults_of(self._decoder)
        retired_after_s = float(overrides.get("retired_after_s") or RETIRED_AFTER_S)
        self._place = Place(args["model_instance_name"], retired_after_s)
        self._workers = Workers(
            self._faults or self._decoder,
            layout,
            Meters(pb_utils, args["model_name"]),
            self._place,
            hang_limit_s=float(overrides.get("hang_limit_s") or 60),
        )

    def execute(self, requests: list[Any]) -> None:
        """Take the requests over; each is answered by its own response sender when it is done."""
        self._place.asked()
        jobs = []
        for request in requests:
            try:
                parameters = json.loads(request.parameters() or "{}")
                if parameters.get("pulse") is True:
                    # A sign of life, which waits for nothing but this thread.
                    _reply(request, {"pulse": True})
                else:
                    jobs.append(self._job(request, parameters))
            except RequestError as error:
                _reply(request, error)
            except Exception as error:  # a boundary: one unreadable request must not fail its batch
                pb_utils.Logger.log_error(f"tritone: unreadable request: {error!r}")
                _reply(request, RequestError("model_failed", "the request could not be read"))
        if jobs:
            self._workers.submit(jobs)

    def finalize(self) -> None:
        """Answer what was taken, then stop."""
        self._workers.stop()

    def _job(self, request: Any, parameters: dict[str, Any]) -> Job:
        fault = parameters.pop("fault", None) if self._faults else None
        audio = pb_utils.get_input_tensor_by_name(request, "AUDIO").as_numpy()
        if len(audio) != 1:
            raise RequestError("invalid_parameter", "a request has one utterance: AUDIO has the shape [1, n]", "AUDIO")
        # Triton frees the input's memory before the job is done.
        samples = audio[0].copy()
        options: Options = parse_options(parameters, multilingual=self._decoder.multilingual)
        job = self._decoder.job(
            samples, options, is_cancelled=request.is_cancelled, reply=lambda outcome: _reply(request, outcome)
        )
        if self._faults and fault:
            self._faults.order(job, fault)
        return job


def _reply(request: Any, outcome: "dict[str, Any] | RequestError") -> None:
    if isinstance(outcome, RequestError):
        code = pb_utils.TritonError.INVALID_ARG if outcome.code in INVALID else pb_utils.TritonError.INTERNAL
        code = pb_utils.TritonError.CANCELLED if outcome.code == "cancelled" else code
        message = f"tritone:{outcome.code}:{outcome.param}:{outcome.message}"
        response = pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
    else:
        raw = json.dumps(outcome | {"request_id": request.request_id()}, ensure_ascii=False).encode()
        tensor = pb_utils.Tensor("TRANSCRIPT", np.frombuffer(raw, dtype=np.uint8).reshape(1, -1))
        response = pb_utils.InferenceResponse(output_tensors=[tensor])
    request.get_response_sender().send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def _overrides(config: dict[str, Any]) -> dict[str, str]:
    parameters = config.get("parameters", {})
    given = {
        name: parameters.get(name, {}).get("string_value") or os.environ.get(f"TRITONE_{name.upper()}")
        for name in OVERRIDES
    }
    return {name: value for name, value in given.items() if value}
