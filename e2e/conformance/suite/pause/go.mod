module capstan.dev/conformance/pause

go 1.26
