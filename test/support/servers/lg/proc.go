package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processes splits the list of -pids.
func processes(list string) []string {
	var pids []string
	for _, pid := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		if _, err := strconv.Atoi(pid); err != nil {
			log.Fatalf("-pids %s: %q is not a number", list, pid)
		}
		pids = append(pids, pid)
	}
	return pids
}

// cpuTimes returns the nanoseconds that each process has spent on a CPU: the sum over its threads, from the
// scheduler. That is exact, where /proc/PID/stat counts ticks of 10 ms; threads that have ended are missing.
func cpuTimes(pids []string) map[string]int64 {
	times := map[string]int64{}
	for _, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%s/task/*/schedstat", pid))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // the thread has just ended
			}
			first, _, _ := strings.Cut(string(text), " ")
			ns, _ := strconv.ParseInt(first, 10, 64)
			times[pid] += ns
		}
	}
	return times
}

// residentKb returns the memory that each process occupies.
func residentKb(pids []string) map[string]int64 {
	sizes := map[string]int64{}
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%s/status", pid))
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				sizes[pid], _ = strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			}
		}
	}
	return sizes
}
