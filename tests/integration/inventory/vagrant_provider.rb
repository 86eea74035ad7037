# For tests: a provider whose machines run already, so that Vagrant answers where there is no hypervisor. It makes nothing.
# cp1 is entered through a forwarded port as with VirtualBox, the others by an address as with libvirt; KUBEFORGE_HALTED
# names machines that do not run.
module Pretended
  class Provider < Vagrant.plugin("2", :provider)
    def initialize(machine)
      @machine = machine
    end

    def state
      id = halted? ? :poweroff : :running
      Vagrant::MachineState.new(id, id.to_s, id.to_s)
    end

    def ssh_info
      return nil if halted?
      return { host: "127.0.0.1", port: 2222 } if @machine.name == :cp1

      key = @machine.data_dir.join("first_key").to_s
      { host: "192.168.121.17", port: 22, username: "ops", private_key_path: [key, "/keys/second"] }
    end

    private

    def halted?
      ENV.fetch("KUBEFORGE_HALTED", "").split.include?(@machine.name.to_s)
    end
  end

  class Plugin < Vagrant.plugin("2")
    name "machines that run already"
    provider(:pretended) { Provider }
  end
end
