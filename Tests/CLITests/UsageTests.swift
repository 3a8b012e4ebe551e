import Foundation
import Testing

/// What people mistype, and where output can't go.
@Suite struct UsageTests {
  let work: Workspace

  init() throws {
    work = try Workspace()
    try work.write(Shop.definitions, to: "d.yaml")
  }

  @Test func commandsThatThereAreNot() throws {
    let result = try work.plumb("chek", "-d", "d.yaml")
    #expect(
      result.status == 64 && result.error == "plumb: there is no command 'chek'; did you mean 'check'?\n")
    #expect(try work.plumb("frobnicate").error.contains("there are check, generate, "))
    #expect(try work.plumb("help", "check").status == 0)
    #expect(try work.plumb("--version").status == 0)
  }

  @Test func definitionsFromTheStandardInput() throws {
    let expected = try work.done("check", "-d", "d.yaml")
    #expect(try work.done("check", "-d", "-", input: "d.yaml") == expected)
    try work.write("name: [", to: "broken.yaml")
    let result = try work.plumb("check", "-d", "-", input: "broken.yaml")
    #expect(
      result.status == 2 && result.error.hasPrefix("-:") && result.error.contains("not valid YAML"),
      "\(result.error)")
  }

  @Test(arguments: [
    "check -d d.yaml", "check -d d.yaml --json", "run -d d.yaml --print-config",
    "simulate --seed 1", "--help", "help run", "topics apply --help", "--version",
    "--generate-completion-script bash",
  ])
  func outputThatCannotBeWritten(_ command: String) throws {
    let result = try work.shell("\"$PLUMB\" \(command) > /dev/full")
    #expect(result.status == 1)
    #expect(result.error == "plumb: the output cannot be written: No space left on device\n")
    // Who has read enough is no fault.
    #expect(try work.shell("set -o pipefail; \"$PLUMB\" \(command) | head -n 1").error == "")
  }

  @Test(arguments: [
    ("monitor -d d.yaml ranker", "d.yaml has no 'models'."),
    ("monitor -d m.yaml rankr", "There is no model 'rankr': did you mean 'ranker'?"),
    ("monitor -d m.yaml ranker --by price", "has no views by 'price': add it to 'monitor: { by: ... }'."),
    ("monitor -d m.yaml ranker --window 24h", "--window goes with --plot."),
    ("monitor -d m.yaml ranker --plot p.svg --json", "leave --json, --by and --at out"),
    ("monitor -d m.yaml ranker --plot p.svg --window 7d", "has no window '7d': there are 1h, 24h."),
    ("monitor -d m.yaml ranker --at noon", "'noon' is no time"),
  ])
  func modelsThatThereAreNot(_ arguments: String, _ expected: String) throws {
    let model = """
      name: shop
      models:
        ranker:
          predictions:
            timestamp: { field: ts, unit: ms }
            fields: { user: string, model_version: string, price: double, score: double }
      """
    try work.write(model, to: "m.yaml")
    let result = try work.run(Workspace.binary, arguments.split(separator: " ").map(String.init))
    #expect(result.status == 64 && result.error.contains(expected), "\(result.status) \(result.error)")
  }

  @Test func reasonsThatThereAreNot() throws {
    let result = try work.plumb("dead-letters", "tail", "-d", "d.yaml", "--reason", "wrong_typ")
    #expect(result.status == 64)
    #expect(
      result.error.contains("There is no reason 'wrong_typ' (did you mean 'wrong_type'?)"), "\(result.error)")
  }

  @Test func levelsThatOthersCallOtherwise() throws {
    let output = try work.done("run", "-d", "d.yaml", "--print-config", "--log-level", "warn")
    #expect(output.contains("log_level = warning (--log-level)"), "\(output)")
  }

  @Test func propertiesThatAreNotForUsers() throws {
    let result = try work.plumb("run", "-d", "d.yaml", "--print-config", "-X", "group.id=mine")
    #expect(result.status == 1 && result.output == "", "\(result.output)")
    #expect(result.error.contains("The Kafka property 'group.id' cannot be set"), "\(result.error)")
  }

  @Test(arguments: [
    ("nonsense.prop=1", "There is no Kafka property 'nonsense.prop'"),
    ("consumer.fetch.wait.max.ms=soon", "The Kafka property 'fetch.wait.max.ms' cannot be 'soon'"),
    ("sasl.pasword=s3cret", "There is no Kafka property 'sasl.pasword'"),
  ])
  func propertiesThatTheLibraryRefuses(property: String, message: String) throws {
    let result = try work.plumb("run", "-d", "d.yaml", "--print-config", "-X", property)
    #expect(result.status == 1 && result.output == "", "\(result.output)")
    #expect(result.error.contains(message) && !result.error.contains("s3cret"), "\(result.error)")
  }

  @Test func variablesThatAreSlips() throws {
    let result = try work.shell("PLUMB_WORKRES=4 \"$PLUMB\" run -d d.yaml --print-config")
    #expect(result.status == 64 || result.status == 2 || result.status == 1)
    #expect(
      result.error.contains("PLUMB_WORKRES") && result.error.contains("did you mean 'workers'?"),
      "\(result.error)")
  }

  @Test func oneMistakeIsToldOnce() throws {
    let text = Shop.definitions.replacing("unit: ms", with: "unit: millis")
    try work.write(text, to: "unit.yaml")
    let result = try work.plumb("check", "-d", "unit.yaml")
    #expect(result.error.components(separatedBy: "error: ").count == 2, "\(result.error)")
    #expect(result.error.contains("unknown time unit 'millis'; did you mean 'ms'?"))
  }

  @Test func viewsThatCannotBeExportedAreNamedByCheck() throws {
    #expect(try !work.done("check", "-d", "d.yaml").contains("export "))
    try work.write(Shop.definitions.replacing("user", with: "date"), to: "date.yaml")
    let output = try work.done("check", "-d", "date.yaml")
    #expect(
      output.contains("export   not possible: every export has a column 'date' of its own"), "\(output)")
  }

  @Test func sharesAreWrittenAlike() throws {
    for command in [["verify", "-d", "d.yaml"], ["diff", "-d", "d.yaml", "-d", "d.yaml"]] {
      let result = try work.run(Workspace.binary, command + ["--sample", "100"])
      #expect(result.status == 64 && result.error.contains("'100'"), "\(result.error)")
    }
  }

  /// Nothing is read or listened to before such a slip is told.
  @Test(arguments: [
    ("get -d d.yaml users user=a user=b", "'user' is given twice"),
    ("broker --port 99999", "give a port from 0 (a free one) to 65535"),
  ])
  func argumentsThatCannotBe(_ arguments: String, _ expected: String) throws {
    let result = try work.run(Workspace.binary, arguments.split(separator: " ").map(String.init))
    #expect(result.status == 64 && result.error.contains(expected), "\(result.status) \(result.error)")
  }

  /// The label needs columns too, under its own name.
  @Test func columnsOfTheLabelAreMissed() throws {
    try work.write(Shop.events, to: "e.ndjson")
    try work.write("user,ts\na,1700000120001\n", to: "s.csv")
    let arguments = [
      "training-set", "-d", "d.yaml", "--as", "happened", "--events", "e.ndjson", "--spine", "s.csv",
      "--view",
      "users", "--label", "price > 1", "--within", "30m", "--out", "-",
    ]
    let result = try work.run(Workspace.binary, arguments + ["--on", "user,item"])
    #expect(
      result.error.contains("the label needs the column 'item'") && !result.error.contains("choice"),
      "\(result.error)")
    try work.write("user,ts,label\na,1700000120001,1\n", to: "s.csv")
    let taken = try work.run(Workspace.binary, arguments + ["--on", "user"])
    #expect(taken.error.contains("the column 'label' has the name of one that is added"), "\(taken.error)")
  }
}
