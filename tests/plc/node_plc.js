// A PLC that is not ours: node-opcua, with other names and units. Arguments: port.
const { OPCUAServer, Variant, DataType, StatusCodes } = require("node-opcua");

(async () => {
  const server = new OPCUAServer({ port: Number(process.argv[2]), resourcePath: "/maker" });
  await server.initialize();
  const space = server.engine.addressSpace;
  const own = space.registerNamespace("urn:maker:coater");
  const coater = own.addObject({ organizedBy: space.rootFolder.objects, browseName: "Coater" });
  let metresPerSecond = 1 / 60;
  let count = 0;
  own.addVariable({
    componentOf: coater, browseName: "LineSpeed", nodeId: "s=Coater.LineSpeed", dataType: "Double",
    minimumSamplingInterval: 50,
    value: { get: () => new Variant({ dataType: DataType.Double, value: metresPerSecond + 1e-6 * (count++ % 7) }) },
  });
  own.addVariable({
    componentOf: coater, browseName: "DieTempF", nodeId: "s=Coater.DieTempF", dataType: "Double",
    value: { get: () => new Variant({ dataType: DataType.Double, value: 77 }) },
  });
  await server.start();
  console.log("up");
  process.on("SIGTERM", () => server.shutdown(() => process.exit(0)));
})();
