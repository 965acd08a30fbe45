"""Composes a song with grpcio and tensorflow-serving-api alone: nothing of tunesmith's is needed.

    pip install grpcio tensorflow-serving-api pretty_midi
    python plain_grpc.py localhost:8500 tunesmith song.mid

(tensorflow-serving-api installs and imports TensorFlow; `tunesmith.client` does without.)
"""

import random
import sys

import grpc
import pretty_midi
from tensorflow import make_ndarray, make_tensor_proto
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

STEPS = 60
DEADLINE = 30


class Model:
    """One version of a served model."""

    def __init__(self, stub, name):
        self.stub = stub
        self.name = name
        self.version = None
        metadata = self.metadata()
        self.version = metadata.model_spec.version.value
        signatures = get_model_metadata_pb2.SignatureDefMap()
        metadata.metadata["signature_def"].Unpack(signatures)
        served = signatures.signature_def["serving_default"]
        self.window = served.inputs["tokens"].tensor_shape.dim[1].size
        self.size = served.outputs["probabilities"].tensor_shape.dim[1].size

    def metadata(self):
        request = get_model_metadata_pb2.GetModelMetadataRequest()
        request.model_spec.name = self.name
        request.metadata_field.append("signature_def")
        return self.stub.GetModelMetadata(request, timeout=DEADLINE)

    def ask(self, signature, **inputs):
        """Return the outputs of a signature as arrays."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.name
        request.model_spec.version.value = self.version
        request.model_spec.signature_name = signature
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(make_tensor_proto(values, dtype="int32"))
        response = self.stub.Predict(request, timeout=DEADLINE)
        return {name: make_ndarray(tensor) for name, tensor in response.outputs.items()}

    def frames(self):
        """Return the pitches of each token; token 0 is the rest."""
        found = []
        for first in range(0, self.size, 256):
            ids = list(range(first, min(first + 256, self.size)))
            found += [name.decode() for name in self.ask("vocabulary", token_ids=ids)["frames"]]
        return [[] if name == "e" else [int(pitch) for pitch in name.split(",")] for name in found]


def compose(model, steps, seed):
    """Return tokens: each is drawn from what the model answers to the window before it."""
    chance = random.Random(seed)
    window, song = [0] * model.window, []
    for _ in range(steps):
        row = model.ask("serving_default", tokens=[window])["probabilities"][0]
        token = chance.choices(range(model.size), weights=row)[0]
        song.append(token)
        window = [*window[1:], token]
    return song


def write(frames, seconds_per_frame, path):
    """Write frames as MIDI; a pitch that sounds on is one note."""
    piano = pretty_midi.Instrument(program=0)
    began = {}
    for index, frame in enumerate([*frames, []]):
        for pitch in [pitch for pitch in began if pitch not in frame]:
            start = began.pop(pitch) * seconds_per_frame
            piano.notes.append(pretty_midi.Note(100, pitch, start, index * seconds_per_frame))
        for pitch in frame:
            began.setdefault(pitch, index)
    song = pretty_midi.PrettyMIDI()
    song.instruments.append(piano)
    song.write(path)


def main(address, name, path):
    with grpc.insecure_channel(address) as channel:
        model = Model(prediction_service_pb2_grpc.PredictionServiceStub(channel), name)
        speed = float(model.ask("settings", token_ids=[0])["frames_per_second"][0])
        frames = model.frames()
        song = [frames[token] for token in compose(model, STEPS, seed=7)]
    write(song, 1 / speed, path)
    print(f"{path}: {len(song) / speed:g} s, by {name} version {model.version}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
