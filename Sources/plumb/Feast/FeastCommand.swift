import ArgumentParser
import DefinitionFiles
import FeastDefinitions
import FeatureCore
import Glibc
import OfflineStore

struct FeastCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "feast", abstract: "Let Feast read the features.", subcommands: [Export.self])

  struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write the definitions as a Feast repository.",
      discussion: """
        Writes definitions.py (entities, views, services, and the files of an export as their sources) and, unless there is \
        one, feature_store.yaml. 'feast apply' registers them. Training data then comes from what 'plumb export' has \
        written, online features from 'plumb serve'.

        Examples:
          plumb export -d shop.yaml --out features --until end
          plumb feast export -d shop.yaml --out feature_repo --parquet ../features --server http://127.0.0.1:6566
          cd feature_repo && feast apply
        """)

    @Option(name: [.customShort("d"), .long], help: "The definitions file.")
    var definitions: String
    @Option(
      help: ArgumentHelp("The folder of the repository, which is made if it is missing.", valueName: "dir"))
    var out: String
    @Option(
      help: ArgumentHelp(
        "What 'plumb export' writes to, as Feast sees it: absolute, relative to the repository, or a URL.",
        valueName: "dir"))
    var parquet: String
    @Option(help: "The address of plumb serve.")
    var server = "http://127.0.0.1:6566"

    func run() throws {
      try reporting {
        let plan = try DefinitionFile.compile(path: definitions)
        let repository = FeastRepository(plan, FeastRepository.Places(parquet: parquet, server: server))
        guard mkdir(out, 0o777) == 0 || errno == EEXIST else {
          throw TableError(
            path: out, problem: "cannot be made: \(String(cString: strerror(errno)))",
            remedy: "check that the folder above exists and is writable", isMistake: false)
        }
        try write(repository.definitions, to: "\(out)/definitions.py")
        let settings = "\(out)/feature_store.yaml"
        // Whoever runs the repository has other stores, registries and credentials to name there.
        if access(settings, F_OK) != 0 { try write(repository.settings, to: settings) }
        print(
          "\(counted(plan.views.count, "view")) and \(counted(plan.services.count, "service")) in \(out)/definitions.py"
        )
      }
    }

    private func write(_ text: String, to path: String) throws {
      var output = try LineOutput(path: path)
      output.buffer += text.utf8
      _ = try output.flush(unless: { _ in false })
    }
  }
}
