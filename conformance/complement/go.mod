module roost/conformance/complement

go 1.24

require github.com/matrix-org/complement v0.0.0-20260901091914-0116400a24df
