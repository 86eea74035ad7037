// One binary that is kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet, kubeadm and
// kubectl: the name it is called by decides, as busybox does. Compiling seven times what they share would cost
// seven times the disk and the images' layers. Each case does what upstream's cmd/<name>/<name>.go does.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app"
	kubeadmerrors "k8s.io/kubernetes/cmd/kubeadm/app/util/errors"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// programs says how each name is run; every function returns the exit code.
var programs = map[string]func() int{
	"kube-apiserver":          func() int { return serve(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() int { return serve(controllermanager.NewControllerManagerCommand()) },
	"kube-scheduler":          func() int { return serve(scheduler.NewSchedulerCommand()) },
	"kube-proxy":              func() int { return serve(proxy.NewProxyCommand()) },
	"kubelet":                 func() int { return serve(kubelet.NewKubeletCommand(context.Background())) },
	"kubeadm": func() int {
		kubeadmerrors.HandleError(kubeadm.Run())
		return 0
	},
	"kubectl": func() int {
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
		return 0
	},
}

func serve(command *cobra.Command) int { return cli.Run(command) }

func main() {
	run, known := programs[filepath.Base(os.Args[0])]
	if !known && len(os.Args) > 1 { // `hyperkube kubelet --version`
		if run, known = programs[filepath.Base(os.Args[1])]; known {
			os.Args = os.Args[1:]
		}
	}
	if !known {
		fmt.Fprintln(os.Stderr, "hyperkube: call me kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy, kubelet, kubeadm or kubectl")
		os.Exit(64)
	}
	os.Exit(run())
}
