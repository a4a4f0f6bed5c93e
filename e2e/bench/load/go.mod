module capstan.dev/bench/load

go 1.26
