// o = b + (a1 or a0), in the carry cells of an ECP5 alone.
//
// Each half of a CCU2C is a LUT of four inputs, and an adder needs two of them: the others choose, which Yosys would do
// in a LUT before each bit. A half gives S = L ^ CIN and COUT = L ? CIN : G, where L is its table over D, C, B, A, and G
// the same table with D = C = 0. So L has to be "propagate", and G "generate" wherever L is 0.
module cs_choose_and_add #(
    parameter WIDTH = 8
) (
    input wire choice,
    input wire [WIDTH-1:0] a0,
    input wire [WIDTH-1:0] a1,
    input wire [WIDTH-1:0] b,
    output wire [WIDTH-1:0] o
);
    localparam PAIRS = (WIDTH + 1) / 2;
    // A = b, B = a1, C = a0, D = choice: L = b ^ (choice ? a1 : a0), and G = b.
    localparam [15:0] TABLE = 16'h665A;
    wire [2*PAIRS-1:0] x0 = a0;
    wire [2*PAIRS-1:0] x1 = a1;
    wire [2*PAIRS-1:0] y = b;
    wire [2*PAIRS-1:0] sum;
    wire [PAIRS:0] carry;
    assign carry[0] = 1'b0;
    genvar i;
    generate
        for (i = 0; i < PAIRS; i = i + 1) begin : pair
            CCU2C #(.INIT0(TABLE), .INIT1(TABLE), .INJECT1_0("NO"), .INJECT1_1("NO")) add (
                .CIN(carry[i]),
                .A0(y[2*i]), .B0(x1[2*i]), .C0(x0[2*i]), .D0(choice),
                .A1(y[2*i+1]), .B1(x1[2*i+1]), .C1(x0[2*i+1]), .D1(choice),
                .S0(sum[2*i]), .S1(sum[2*i+1]), .COUT(carry[i+1])
            );
        end
    endgenerate
    assign o = sum[WIDTH-1:0];
endmodule
