# Sourced by the train_*.sh scripts: run train.py with the settings of a paper
# experiment (the array `paper`) and the caller's arguments. Sacred accepts settings
# after a single `with`; the caller's come last and take precedence.
run_train() {
    local before=() after=() seen=""
    for argument in "$@"; do
        if [ -n "$seen" ]; then after+=("$argument")
        elif [ "$argument" = "with" ]; then seen=1
        else before+=("$argument"); fi
    done
    exec python "$(dirname "${BASH_SOURCE[0]}")/train.py" \
        "${before[@]}" with "${paper[@]}" "${after[@]}"
}
