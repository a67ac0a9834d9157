#!/usr/bin/env bash
# Which:    ONNX Runtime 1.32.0 from PyPI, on Linux.
# What:     `import onnxruntime` alone, without a model, writes a device id and a database of events into the user's
#           cache; `disable_telemetry_events()` can only be called after that, and leaves both. The variable
#           ORT_DISABLE_TELEMETRY=1, set before the import, leaves nothing.
# Expected: no file before a session, or at least none where the function that disables telemetry is called first.
# Seen:     .cache/Microsoft/DeveloperTools/.onnxruntime/deviceid and onnxruntime.db in a home that was empty.
# Who:      whoever runs models where no data may be kept of users or machines, or in a home that is read-only or
#           compared before and after.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 numpy==2.1.3
unset ORT_DISABLE_TELEMETRY XDG_CACHE_HOME
# Continuous integration is recognised by its variables, and left alone.
unset BUILDKITE CI CIRCLECI GITHUB_ACTIONS GITLAB_CI JENKINS_URL TF_BUILD TRAVIS

written() { # name of a home, Python code, variables: list what the code writes there
    mkdir "$folder/$1"
    env "HOME=$folder/$1" "${@:3}" "$folder/venv/bin/python" -c "$2"
    (cd "$folder/$1" && find . -type f -printf '%f\n' | sort | tr '\n' ' ')
}

"$folder/venv/bin/python" -c 'import onnxruntime; print("onnxruntime", onnxruntime.__version__)'
imported=$(written imported "import onnxruntime")
disabled=$(written disabled "import onnxruntime; onnxruntime.disable_telemetry_events()")
variable=$(written variable "import onnxruntime" ORT_DISABLE_TELEMETRY=1)
echo "import onnxruntime:                  ${imported:-nothing}"
echo "… and disable_telemetry_events():    ${disabled:-nothing}"
echo "ORT_DISABLE_TELEMETRY=1, and import: ${variable:-nothing}"
[[ $imported == "deviceid onnxruntime.db "* && $disabled == "deviceid onnxruntime.db "* && -z $variable ]]
echo "seen: the import writes a device id, which the function that disables telemetry comes too late for"
