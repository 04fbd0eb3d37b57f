// A container runtime's use of libcni: one request a line on standard input, one answer a line on standard output.
//
// A request names the verb and the network's configuration list by its file, and what the verb needs:
//
//	{"verb": "ADD", "file": "/etc/cni/net.d/10-felix.conflist", "id": "c1", "netns": "/run/netns/c1",
//	 "ifname": "eth0", "args": [["K8S_POD_NAME", "p1"]], "capabilities": {"portMappings": []}}
//
// An answer is {"result": the result of ADD, "code": 0, "message": ""}; code is the plugin's, or -1 for an error that
// is libcni's own.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

type request struct {
	Verb         string                 `json:"verb"`
	File         string                 `json:"file"`
	ID           string                 `json:"id"`
	Netns        string                 `json:"netns"`
	Ifname       string                 `json:"ifname"`
	Args         [][2]string            `json:"args"`
	Capabilities map[string]interface{} `json:"capabilities"`
	Valid        []types.GCAttachment   `json:"valid"` // null is Go's nil slice, as some runtimes send it
}

type answer struct {
	Result  types.Result `json:"result"`
	Code    int          `json:"code"`
	Message string       `json:"message"`
}

func main() {
	plugins := filepath.SplitList(os.Getenv("CNI_PATH"))
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked request
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		result, err := carryOut(libcni.NewCNIConfigWithCacheDir(plugins, os.Getenv("CNI_CACHE"), nil), asked)
		told := answer{Result: result}
		var failed *types.Error
		if errors.As(err, &failed) {
			told.Code, told.Message = int(failed.Code), failed.Error()
		} else if err != nil {
			told.Code, told.Message = -1, err.Error()
		}
		if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
			os.Exit(2)
		}
	}
}

func carryOut(cni *libcni.CNIConfig, asked request) (types.Result, error) {
	list, err := libcni.ConfListFromFile(asked.File)
	if err != nil {
		return nil, err
	}
	attachment := &libcni.RuntimeConf{
		ContainerID:    asked.ID,
		NetNS:          asked.Netns,
		IfName:         asked.Ifname,
		Args:           asked.Args,
		CapabilityArgs: asked.Capabilities,
	}
	switch asked.Verb {
	case "ADD":
		return cni.AddNetworkList(context.Background(), list, attachment)
	case "CHECK":
		return nil, cni.CheckNetworkList(context.Background(), list, attachment)
	case "DEL":
		return nil, cni.DelNetworkList(context.Background(), list, attachment)
	case "GC":
		return nil, cni.GCNetworkList(context.Background(), list, &libcni.GCArgs{ValidAttachments: asked.Valid})
	case "STATUS":
		return nil, cni.GetStatusNetworkList(context.Background(), list)
	}
	return nil, fmt.Errorf("%s is no verb of CNI", asked.Verb)
}
