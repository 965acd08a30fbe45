#!/bin/bash
# Succeeds if the server in this container has a version of $MODEL_NAME that answers.
#
# Asks the REST port for the model's versions. The stock image has neither curl (its CPU variant) nor
# a gRPC client; bash opens the connection itself.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/${REST_PORT:-8501}"
printf 'GET /v1/models/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' \
  "${MODEL_NAME:-tunesmith}" >&3
# All of the answer is read, so that the server never writes to a closed connection.
answer=$(cat <&3)
[[ $answer == *'"state": "AVAILABLE"'* ]]
